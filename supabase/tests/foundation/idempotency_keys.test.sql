begin;
\ir ../_helpers.psql
select plan(16);

-- given a key that has answered once
select tests.make_user('amina');
select tests.make_user('binta');
insert into private.idempotency_keys (user_id, operation, idempotency_key, request_hash, response)
values (tests.id('amina'), 'test_operation', 'key-00000001', '\x01', '{"answer": 1}');

create function tests.replay(
    who text, key text, hash bytea, operation text default 'test_operation'
)
returns jsonb
language sql as $$
    select private.replay_idempotent(
        tests.id(replay.who), replay.operation, replay.key, replay.hash
    )
$$;

-- then the same body gets the same answer, a new key gets none
select is(
    tests.replay('amina', 'key-00000001', '\x01'), '{"answer": 1}'::jsonb,
    'the same key and body answer the same again'
);
select is(
    tests.replay('amina', 'key-00000001', '\x01'), '{"answer": 1}'::jsonb,
    'and again'
);
select is(tests.replay('amina', 'key-00000002', '\x01'), null, 'a new key has no answer yet');
select is(
    tests.replay('binta', 'key-00000001', '\x02'), null, 'keys belong to a person'
);
select is(
    tests.replay('amina', 'key-00000001', '\x02', 'other_operation'), null,
    'keys belong to an operation'
);

-- the key is held until the transaction ends: the second holder of the same key waits
select is(
    (
        select count(*)
        from pg_catalog.pg_locks as l
        where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.mode = 'ExclusiveLock'
            and l.objsubid = 1
    ),
    4::bigint,
    'each of the four keys asked for is locked'
);

-- refusals
select tests.remember();
select tests.refuses(
    $$select tests.replay('amina', 'key-00000001', '\x02')$$,
    'PT409 idempotency_key_reused', 'the same key with another body is refused', 'key-00000001'
);
select tests.refuses(
    $$select tests.replay('amina', 'key-00000001', null)$$,
    'PT409 idempotency_key_reused', 'the same key without a body is refused'
);
select tests.refuses(
    $$select tests.replay('amina', null, '\x01')$$,
    'PT400 idempotency_key_invalid', 'no key is refused'
);
select tests.refuses(
    $$select tests.replay('amina', '1234567', '\x01')$$,
    'PT400 idempotency_key_invalid', 'a key of 7 characters is refused', '1234567'
);
select tests.refuses(
    $$select tests.replay('amina', repeat('k', 201), '\x01')$$,
    'PT400 idempotency_key_invalid', 'a key of 201 characters is refused'
);
select tests.refuses(
    $$select tests.replay('amina', 'key with space', '\x01')$$,
    'PT400 idempotency_key_invalid', 'a key with a space is refused'
);
select tests.refuses(
    $$select tests.replay('amina', E'key-0000\nSet-Cookie', '\x01')$$,
    'PT400 idempotency_key_invalid', 'a key with a line break is refused'
);
select tests.nothing_changed('no refusal stored anything');
select is(
    tests.replay('amina', repeat('k', 200), '\x01'), null, 'a key of 200 characters is taken'
);
select tests.violates(
    $$
    insert into private.idempotency_keys
    values (tests.id('amina'), 'test_operation', 'short', '\x01', '{}')
    $$,
    'idempotency_keys_key_is_printable', 'no short key can be stored'
);

select * from finish();
rollback;
