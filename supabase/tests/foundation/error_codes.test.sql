begin;
\ir ../_helpers.psql
select plan(18);

-- given the catalogue as it was shipped
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('thandi', 'en', 'ZA');

-- then every text is there, in both languages, on one line
select is_empty(
    $$
    select e.code from private.error_codes as e
    where e.message_en = e.message_fr
        or e.message_en !~ '^[A-Z].*[.]$'
        or e.message_fr !~ '^[A-ZÀÂÉÈÊÎÔÛÇ].*[.]$'
    $$,
    'every code has an English and a French sentence of its own'
);
select is_empty(
    $$
    select e.code from private.error_codes as e
    where e.status not in (400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 503)
    $$,
    'every code has one of the statuses of the contract'
);
select is(
    service.error_catalogue(),
    (
        select jsonb_agg(
            jsonb_build_object(
                'code', e.code, 'status', e.status,
                'message_en', e.message_en, 'message_fr', e.message_fr
            )
            order by e.code
        )
        from private.error_codes as e
    ),
    'the service reads the whole catalogue, in order of the codes'
);

-- when a text would split the HTTP status line, or a code or status is odd, it is not stored
select tests.remember();
select tests.violates(
    $$insert into private.error_codes values ('test_code', 400, E'two\nlines', 'une')$$,
    'error_codes_messages_are_one_line', 'an English text with a line break is refused'
);
select tests.violates(
    $$insert into private.error_codes values ('test_code', 400, 'one', E'une\rdeux')$$,
    'error_codes_messages_are_one_line', 'a French text with a carriage return is refused'
);
select tests.violates(
    $$insert into private.error_codes values ('test_code', 400, '', 'une')$$,
    'error_codes_messages_are_one_line', 'an empty text is refused'
);
select tests.violates(
    $$insert into private.error_codes values ('Test-Code', 400, 'one', 'une')$$,
    'error_codes_code_is_snake_case', 'a code that is not snake case is refused'
);
select tests.violates(
    $$insert into private.error_codes values ('test_code', 200, 'one', 'une')$$,
    'error_codes_status_is_error', 'a status that is no error is refused'
);
select tests.violates(
    $$insert into private.error_codes values ('test_code', 400, 'one', null)$$,
    'not null', 'a code without French is refused'
);
select tests.nothing_changed('nothing odd was stored');

-- private.fail: the SQLSTATE carries the status, the hint the code, the detail the input
select is(
    tests.attempt($$select private.fail('stock_insufficient', E'line\nbreak')$$),
    row(
        'PT409', 'There is not enough of this product in stock.', E'line\nbreak',
        'stock_insufficient', ''
    )::tests.failure,
    'fail raises status, text and code; input stays in the detail'
);
select is(
    tests.attempt($$select private.fail('cart_empty')$$),
    row('PT400', 'There is nothing to order.', '', 'cart_empty', '')::tests.failure,
    'fail without a detail has an empty one'
);
select throws_ok(
    $$select private.fail('no_such_code')$$, 'P0001', 'unknown error code no_such_code',
    'a code that is not in the catalogue is a bug, not a refusal'
);

-- language: the request's Accept-Language, then the person's, then English
select tests.act_as('amina');
select is(
    (tests.attempt($$select private.fail('cart_empty')$$)).message,
    'Il n''y a rien à commander.', 'a person who reads French is refused in French'
);
select tests.speaks('en-GB,fr;q=0.5');
select is(
    (tests.attempt($$select private.fail('cart_empty')$$)).message,
    'There is nothing to order.', 'the request''s own language goes before the person''s'
);
select tests.act_as('thandi');
select tests.speaks('de, fr-CM;q=0.9, en;q=0.8');
select is(
    (tests.attempt($$select private.fail('cart_empty')$$)).message,
    'Il n''y a rien à commander.', 'of the languages named the first known one counts'
);
select tests.speaks('de');
select is(
    (tests.attempt($$select private.fail('cart_empty')$$)).message,
    'There is nothing to order.', 'an unknown language falls back to the person''s'
);
select tests.act_as_anon();
select tests.speaks(null);
select is(
    (tests.attempt($$select private.fail('cart_empty')$$)).message,
    'There is nothing to order.', 'a guest without a language is refused in English'
);

select * from finish();
rollback;
