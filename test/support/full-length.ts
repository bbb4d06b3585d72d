/** Whether long tests run at their full length (`make test-all`) or at the everyday one. */
export const fullLength: boolean = process.env.TENANTRY_TEST_ALL === '1'
