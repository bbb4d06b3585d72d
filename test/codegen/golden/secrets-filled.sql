-- What is encrypted when it has values, which are a superuser's doing here.

insert into users values ('6f1c0000-0000-4000-8000-00000000000a', 'Anna'),
                         ('6f1c0000-0000-4000-8000-00000000000b', 'Bert');
insert into letters values (1, '6f1c0000-0000-4000-8000-00000000000a', 'body', '1234', 'a@x', '{"a": 1}');
