select tenantry.encrypt_column('letters', 'body');
select tenantry.encrypt_column('letters', 'pin');
select tenantry.encrypt_column('letters', 'mail', blind_index => true);
select tenantry.encrypt_column('letters', 'doc', path => '{a}');
