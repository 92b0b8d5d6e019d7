-- Whether a code holds for a person, what it is worth, and how its uses are held, used, given back.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(66);

-- given a shopper, affiliates in every status, an admin, and codes in every state
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_affiliate('pat');
select tests.make_affiliate(a.status, a.status)
from (values ('pending'), ('rejected'), ('suspended')) as a (status);
select tests.make_product('shoe', 10000, 100.00, 5005);
select tests.make_promo_code('PAT10', 'pat', ends_at => '2100-01-01 00:00:00+00');
select tests.make_promo_code('FRANC', 'pat', discount_amount => 1000, currency => 'XAF');
select tests.make_promo_code('RAND50', 'pat', discount_amount => 50, currency => 'ZAR');
select tests.make_promo_code('CHIOMA', 'chioma', 12.5, usage_limit => null);
select tests.make_promo_code('PAUSED', 'pat', status => 'paused');
select tests.make_promo_code('ARCHIVED', 'pat', status => 'archived');
select tests.make_promo_code('OF-PENDING', 'pending');
select tests.make_promo_code('OF-REJECTED', 'rejected');
select tests.make_promo_code('OF-SUSPENDED', 'suspended');
select tests.make_promo_code('SOON', 'pat', starts_at => now() + interval '1 microsecond');
select tests.make_promo_code('NOW', 'pat', starts_at => now());
select tests.make_promo_code('OVER', 'pat', ends_at => now());
select tests.make_promo_code('LAST', 'pat', ends_at => now() + interval '1 microsecond');
select tests.make_promo_code('ONCE', 'pat', usage_limit => 1);
select tests.make_promo_code('EACH', 'pat', per_user_limit => 1);
select tests.make_promo_code('TWO-EACH', 'pat', usage_limit => null, per_user_limit => 2);
-- more than one thing wrong
select tests.make_promo_code('PAUSED-OVER', 'pat', ends_at => now(), status => 'paused');
select tests.make_promo_code('OVER-FULL', 'pat', ends_at => now(), usage_limit => 1);
update public.promo_codes set usage_count = 1 where code = 'OVER-FULL';

create function tests.counts(code text) returns text
language sql stable security definer as $$
    select format('%s used, %s held', p.usage_count, p.reserved_count)
    from public.promo_codes as p where p.code = counts.code
$$;
create function tests.buy(name text, buyer text, promo_code text, country text default 'CM')
returns uuid
language sql as $$
    select tests.place_order(
        buy.name, buy.buyer, jsonb_build_array(tests.item('shoe', 1)), buy.country, buy.promo_code
    )
$$;

-- A code that holds -------------------------------------------------------------------------------

select tests.act_as('amina');
select is(public.check_promo_code(c.code, c.country), c.answer::jsonb, c.title)
from (
    values
    ('PAT10', 'CM', '{"is_valid": true, "code": "PAT10", "discount_percent": 10.00,
        "discount_amount": null, "currency": null, "ends_at": "2100-01-01T00:00:00+00:00"}',
        'a percentage holds until its end'),
    ('PAT10', 'ZA', '{"is_valid": true, "code": "PAT10", "discount_percent": 10.00,
        "discount_amount": null, "currency": null, "ends_at": "2100-01-01T00:00:00+00:00"}',
        'in every country'),
    (E'\t pat10 ', 'CM', '{"is_valid": false, "reason": "promo_code_not_found",
        "message": "Ce code promo n''existe pas."}', 'a tab is no blank'),
    ('  pAt10 ', 'CM', '{"is_valid": true, "code": "PAT10", "discount_percent": 10.00,
        "discount_amount": null, "currency": null, "ends_at": "2100-01-01T00:00:00+00:00"}',
        'however it is typed'),
    ('FRANC', 'CM', '{"is_valid": true, "code": "FRANC", "discount_percent": null,
        "discount_amount": 1000.00, "currency": "XAF", "ends_at": null}',
        'an amount holds in its currency'),
    ('CHIOMA', 'ZA', '{"is_valid": true, "code": "CHIOMA", "discount_percent": 12.50,
        "discount_amount": null, "currency": null, "ends_at": null}', 'an admin''s code holds too'),
    ('NOW', 'CM', '{"is_valid": true, "code": "NOW", "discount_percent": 10.00,
        "discount_amount": null, "currency": null, "ends_at": null}', 'a code holds from its start')
) as c (code, country, answer, title);
select is(
    public.check_promo_code('LAST', 'CM') -> 'is_valid', 'true', 'and until its end has come'
);

-- Every reason why not ----------------------------------------------------------------------------

select tests.act_as_owner();
select tests.buy('once', 'bongani', 'ONCE');
select tests.buy('each', 'amina', 'EACH');
select tests.act_as('amina');
select is(
    public.check_promo_code(c.code, c.country),
    jsonb_build_object('is_valid', false, 'reason', c.reason, 'message', c.message),
    format('%s: %s', c.title, c.reason)
)
from (
    values
    ('NOSUCH', 'CM', 'promo_code_not_found', 'Ce code promo n''existe pas.', 'an unknown code'),
    ('', 'CM', 'promo_code_not_found', 'Ce code promo n''existe pas.', 'an empty code'),
    (null, 'CM', 'promo_code_not_found', 'Ce code promo n''existe pas.', 'no code'),
    (''' or true --', 'CM', 'promo_code_not_found', 'Ce code promo n''existe pas.', 'an attack'),
    ('PAUSED', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.', 'a paused code'),
    ('ARCHIVED', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.',
        'an archived code'),
    ('OF-PENDING', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.',
        'a code of somebody who has only applied'),
    ('OF-REJECTED', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.',
        'a code of somebody who was rejected'),
    ('OF-SUSPENDED', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.',
        'a code of somebody who was suspended'),
    ('SOON', 'CM', 'promo_code_not_started', 'Ce code promo n''est pas encore valable.',
        'a code before its start'),
    ('OVER', 'CM', 'promo_code_expired', 'Ce code promo a expiré.', 'a code at its end'),
    ('RAND50', 'CM', 'promo_code_currency_mismatch', 'Ce code promo vaut pour une autre devise.',
        'an amount in another currency'),
    ('FRANC', 'ZA', 'promo_code_currency_mismatch', 'Ce code promo vaut pour une autre devise.',
        'and the other way round'),
    ('ONCE', 'CM', 'promo_code_exhausted', 'Ce code promo est épuisé.',
        'a code whose last use an unpaid order holds'),
    ('EACH', 'CM', 'promo_code_used_up',
        'Vous avez utilisé ce code promo autant de fois que permis.',
        'a code that the person''s own unpaid order holds'),
    ('PAUSED-OVER', 'CM', 'promo_code_inactive', 'Ce code promo n''est pas actif.',
        'a code that is paused and over'),
    ('OVER-FULL', 'CM', 'promo_code_expired', 'Ce code promo a expiré.',
        'a code that is over and used up')
) as c (code, country, reason, message, title);
select tests.act_as('pat');
select is(
    public.check_promo_code('PAT10', 'ZA'),
    '{"is_valid": false, "reason": "promo_code_own",
      "message": "Your own promo code is for others."}',
    'an affiliate''s own code: promo_code_own'
);
select tests.act_as('chioma');
select is(public.check_promo_code('CHIOMA', 'ZA') -> 'is_valid', 'true',
    'an admin''s code earns nobody anything: its admin may use it');
select tests.act_as('bongani');
select is(public.check_promo_code('EACH', 'ZA') -> 'is_valid', 'true',
    'a limit a person is each person''s');

-- Who may ask, and how often ----------------------------------------------------------------------

select tests.refuses(
    format('select public.check_promo_code(''PAT10'', %L)', c.country), 'PT400 country_unknown',
    format('country %L is not one of the shop''s', c.country), coalesce(c.country, '')
)
from (values ('NG'), ('za'), (null)) as c (country);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses('select public.check_promo_code(''PAT10'', ''ZA'')',
    'PT401 authentication_required', 'nobody asks for nothing');
select tests.act_as_anon();
select tests.denies('select public.check_promo_code(''PAT10'', ''ZA'')', 'anon may not ask');
select tests.act_as_service_role();
select tests.denies('select public.check_promo_code(''PAT10'', ''ZA'')', 'nor service_role');
select tests.act_as_service();
select tests.denies('select public.check_promo_code(''PAT10'', ''ZA'')', 'nor mallgram_service');

select tests.act_as('bongani');
select is(
    (select count(*) from generate_series(1, 40) as g
     where public.check_promo_code('PAT10', 'ZA') ->> 'is_valid' = 'true'
         and public.check_promo_code('OVER', 'ZA') ->> 'reason' = 'promo_code_expired'),
    40::bigint, 'codes that exist may be asked for forty times and more'
);
select is(
    (select count(*) from generate_series(1, 20) as g
     where public.check_promo_code('GUESS' || g, 'ZA') ->> 'reason' = 'promo_code_not_found'),
    20::bigint, 'twenty guesses are answered'
);
select tests.refuses(c.sql, 'PGRST rate_limit_exceeded', c.title)
from (
    values
    ('select public.check_promo_code(''GUESS21'', ''ZA'')', 'the next guess is refused'),
    ('select public.check_promo_code(''PAT10'', ''ZA'')',
        'as is a code that exists: a hit does not show'),
    ('select public.quote_cart(''ZA'', ''PAT10'')', 'a quote is no way round'),
    ('select public.place_order(''bongani-key'', ''ZA'', tests.address(''ZA''), ''PAT10'', '
        'jsonb_build_array(tests.item(''shoe'', 1)))', 'nor is an order')
) as c (sql, title);
select lives_ok(
    $$ select public.place_order('bongani-key', 'ZA', tests.address('ZA'), null,
           jsonb_build_array(tests.item('shoe', 1))) $$,
    'an order without a code is not limited'
);
select tests.act_as('amina');
select lives_ok($$ select public.check_promo_code('PAT10', 'CM') $$, 'nor is another person');
select tests.act_as_owner();
update private.rate_limits set refilled_at = refilled_at - interval '10 minutes'
where subject = 'user:' || tests.id('bongani');
select tests.act_as('bongani');
select is(public.check_promo_code('GUESS22', 'ZA') ->> 'reason', 'promo_code_not_found',
    'ten minutes later the person may guess again');

-- What it is worth --------------------------------------------------------------------------------

select tests.act_as_owner();
create function tests.discount(code text, country text, quantity integer) returns text
language plpgsql as $$
declare
    v_id uuid := tests.place_order(
        concat_ws('-', 'worth', code, country, quantity), 'amina',
        jsonb_build_array(tests.item('shoe', quantity)), country, code
    );
begin
    return (
        select format('%s less %s as %s', trim_scale(o.subtotal_price),
            trim_scale(o.discount_amount), o.promo_code)
        from public.orders as o where o.id = v_id
    );
end
$$;
insert into public.promo_codes (code, admin_id, usage_limit)
select 'NOTHING', d.id, null from public.admins as d where d.user_id = tests.id('chioma');
select tests.make_promo_code('MUCH', 'pat', discount_amount => 1000000, currency => 'ZAR');
select is(tests.discount(d.code, d.country, d.quantity), d.worth, d.title)
from (
    values
    ('chioma', 'CM', 1, '5005 less 626 as CHIOMA', 'a percentage is rounded to francs'),
    ('CHIOMA', 'ZA', 3, '300 less 37.5 as CHIOMA', 'and to cents'),
    ('FRANC', 'CM', 1, '5005 less 1000 as FRANC', 'an amount is taken once'),
    ('FRANC', 'CM', 9, '45045 less 1000 as FRANC', 'however many pieces'),
    ('MUCH', 'ZA', 2, '200 less 200 as MUCH', 'and no more than the goods cost'),
    ('NOTHING', 'ZA', 1, '100 less 0 as NOTHING', 'a code may count without a discount')
) as d (code, country, quantity, worth, title);

-- Held, used, given back --------------------------------------------------------------------------

select is(tests.counts('ONCE'), '0 used, 1 held', 'an order holds a use');
select is(tests.pay('once') ->> 'order_status', 'paid', 'given it is paid');
select is(tests.counts('ONCE'), '1 used, 0 held', 'the use is final');
select tests.act_as('amina');
select is(
    public.check_promo_code('ONCE', 'CM') ->> 'reason', 'promo_code_exhausted',
    'and the code used up for good'
);
select is((public.cancel_order(tests.id('each'))).status::text, 'cancelled',
    'given an order with a code of one use a person is cancelled');
select tests.act_as_owner();
select is(tests.counts('EACH'), '0 used, 0 held', 'its use is given back');
select tests.buy('each-again', 'amina', 'EACH');
select is(tests.counts('EACH'), '0 used, 1 held', 'and can be had again');

select tests.buy('two-1', 'amina', 'TWO-EACH');
select is(tests.pay('two-1') ->> 'order_status', 'paid', 'given one use is paid');
select tests.buy('two-2', 'amina', 'TWO-EACH');
select tests.act_as('amina');
select tests.refuses(
    $$ select public.place_order('amina-key', 'CM', tests.address('CM'), 'TWO-EACH',
           jsonb_build_array(tests.item('shoe', 1))) $$,
    'PT409 promo_code_used_up', 'a paid and a held use are two', 'TWO-EACH'
);
select tests.act_as_owner();
select tests.buy('two-3', 'bongani', 'TWO-EACH', 'ZA');
select is(tests.counts('TWO-EACH'), '1 used, 2 held', 'another person''s are counted apart');

-- given a code without a limit that was used a million times
select is((select p.usage_limit from public.promo_codes as p where p.code = 'CHIOMA'), null,
    'a code may have no limit');
update public.promo_codes set usage_count = 1000000 where code = 'CHIOMA';
select tests.buy('million', 'bongani', 'CHIOMA', 'ZA');
select is(tests.counts('CHIOMA'), '1000000 used, 3 held', 'then it is never used up');

-- The last word is the code's own row: an order whose quote was older is refused there ------------

select tests.make_promo_code('RACE', 'pat', usage_limit => 2, per_user_limit => 1);
select lives_ok(
    $$ select private.reserve_promo_code(tests.id('RACE'), tests.id('bongani')) $$,
    'one use is held'
);
update public.promo_codes set usage_count = 1 where code = 'RACE';
select tests.refuses(
    $$ select private.reserve_promo_code(tests.id('RACE'), tests.id('bongani')) $$,
    'PT409 promo_code_exhausted', 'beyond the limit nothing is held'
);
update public.promo_codes set usage_count = 0, usage_limit = 100, per_user_limit = 1
where code = 'RACE';
insert into public.orders (
    user_id, country, currency, language, subtotal_price, total_price, shipping_address, expires_at,
    promo_code_id, promo_code
)
select tests.id('amina'), 'CM', 'XAF', 'fr', 5000, 5000, '{}', now(), tests.id('RACE'), 'RACE'
from generate_series(1, 2);
select tests.refuses(
    $$ select private.reserve_promo_code(tests.id('RACE'), tests.id('amina')) $$,
    'PT409 promo_code_used_up', 'beyond the person''s limit nothing is held'
);
select is(tests.counts('RACE'), '0 used, 1 held', 'and the count stays');

select * from finish();
rollback;
