-- Cards and accounts that a gateway keeps for a person: kept when its payer asked for it and the
-- money came, once a token, never a number; seen and forgotten by that person alone.
begin;
\ir ../_helpers.psql
\ir _payments.psql
\ir _refunds.psql
select plan(104);

-- given two shoppers in South Africa and an admin
select tests.make_user('thandi');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000);

create function tests.pay_keeping(
    name text,
    buyer text,
    saved jsonb,
    gateway text default 'paygate',
    method text default 'card',
    save_method boolean default true
)
returns text
language plpgsql as $$
begin
    perform tests.place_order(
        pay_keeping.name, pay_keeping.buyer, jsonb_build_array(tests.item('shoe', 1)), 'ZA'
    );
    perform tests.begin_payment(
        pay_keeping.name || '-payment', pay_keeping.name, pay_keeping.method, null,
        array[pay_keeping.gateway], save_method => pay_keeping.save_method
    );
    return tests.apply(
        pay_keeping.name || '-payment', 'paid', saved_method => pay_keeping.saved
    ) ->> 'order_status';
end
$$;
-- what is kept: whose, gateway, method, label, until when, token
create function tests.kept() returns text []
language sql stable security definer as $$
    select coalesce(array_agg(concat_ws(
        ' ', tests.name_of(m.user_id), m.gateway, m.method, m.label, m.expires_on, '=',
        tests.name_of(t.user_id), t.gateway, t.token
    ) order by t.token, m.user_id = tests.id('bongani'), m.gateway), '{}')
    from public.saved_payment_methods as m
    full join private.saved_payment_method_tokens as t on m.id = t.saved_payment_method_id
$$;

-- When it is kept ---------------------------------------------------------------------------------

select is(
    tests.pay_keeping(
        'asked', 'thandi', '{"token": "t-1", "label": "Visa …0015", "expires_on": "2027-12-01"}'
    ),
    'paid', 'given a card that thandi asked to keep'
);
select is(
    tests.kept(), '{thandi paygate card Visa …0015 2027-12-01 = thandi paygate t-1}',
    'it is kept, its token aside'
);
select is(
    (select m.last_used_at from public.saved_payment_methods as m), null, 'it was not used yet'
);
select tests.name_it('card', m.id) from public.saved_payment_methods as m;
select is(
    tests.pay_keeping(
        'unasked', 'thandi', '{"token": "t-2", "label": "Visa …0016"}', save_method => false
    ),
    'paid', 'given one that she did not ask to keep'
);
select is(
    tests.pay_keeping('nothing', 'thandi', null), 'paid', 'given a gateway that keeps nothing'
);
select is(
    (select count(*) from public.saved_payment_methods), 1::bigint, 'neither is kept'
);
select is(
    tests.pay_keeping('again', 'thandi', '{"token": "t-1", "label": "Visa …0015 new"}'), 'paid',
    'given the same card again'
);
select is(
    tests.kept(), '{thandi paygate card Visa …0015 2027-12-01 = thandi paygate t-1}',
    'it is the same, with the name that she knows'
);
select is(
    (select m.last_used_at from public.saved_payment_methods as m), now(), 'used now'
);
select is(
    tests.pay_keeping(
        'renewed', 'thandi', '{"token": "t-1", "label": "x", "expires_on": "2030-06-30"}'
    ),
    'paid', 'given the same card with a new date'
);
select is(
    tests.kept(), '{thandi paygate card Visa …0015 2030-06-30 = thandi paygate t-1}',
    'the date is taken over'
);
select is(
    tests.pay_keeping('other', 'thandi', '{"token": "t-1", "label": "Visa"}', 'payfast'), 'paid',
    'given the same token at another gateway'
);
select is(
    tests.pay_keeping('neighbour', 'bongani', '{"token": "t-1", "label": "Visa"}'), 'paid',
    'and one of another person'
);
select is(
    tests.kept(),
    '{thandi payfast card Visa = thandi payfast t-1,'
    'thandi paygate card Visa …0015 2030-06-30 = thandi paygate t-1,'
    'bongani paygate card Visa = bongani paygate t-1}',
    'each is a method of its own'
);
-- an attempt that failed keeps nothing, and no word of its
select tests.place_order('lost', 'thandi', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select count(tests.begin_payment(
    'lost-payment', 'lost', 'card', null, '{paygate}', save_method => true
));
select is(
    tests.apply('lost-payment', s.status, s.amount, saved_method => '{"token": "t-3"}')
        ->> 'outcome',
    s.outcome, format('%s %s is %s', s.status, s.amount, s.outcome)
)
from (
    values ('processing', null, 'applied'), ('paid', 1, 'quarantined'),
    ('failed', null, 'unchanged')
) as s (status, amount, outcome);
select is(
    (select count(*) from public.saved_payment_methods), 3::bigint,
    'without the money nothing is kept'
);

-- Whatever the gateway says, the money counts -----------------------------------------------------

delete from public.saved_payment_methods;
create table tests.words (place serial, saved jsonb, kept text, title text);
insert into tests.words (saved, kept, title) values
('{"token": "t"}', 'PayGate', 'without a name it is the gateway''s'),
('{"token": "t", "label": ""}', 'PayGate', 'with an empty name, too'),
('{"token": "t", "label": "   "}', 'PayGate', 'with a blank one, too'),
('{"token": "t", "label": "Visa\nGold"}', 'Visa Gold', 'its name is one line'),
('{"token": "t", "label": "4111 1111 1111 1111"}', '… … … …', 'without a card number'),
(jsonb_build_object('token', 't', 'label', repeat('é', 80)), repeat('é', 60), 'of 60 letters'),
('{"token": "t", "label": "Visa", "expires_on": "12/27"}', 'Visa', 'a date that is none is none'),
('{"token": "t", "label": "Visa", "expires_on": ""}', 'Visa', 'nor is an empty one'),
('{"token": "t", "label": "Visa", "expires_on": "2027-02-31"}', 'Visa 2027-02-28',
    'a day too far is the month''s last'),
('{"token": "t", "label": "Visa", "expires_on": "2028-02-30"}', 'Visa 2028-02-29',
    'also in a leap year'),
('{"token": "t", "label": "Visa", "expires_on": "2027-13-01"}', 'Visa', 'a month that is none'),
('{"token": 7, "label": "Visa"}', 'Visa', 'a token in digits'),
('{"token": "", "label": "Visa"}', '', 'an empty token is none'),
('{"token": null, "label": "Visa"}', '', 'nor is no token'),
('{"label": "Visa"}', '', 'nor is a missing one'),
('{"token": "4111111111111111", "label": "Visa"}', '', 'a card number is never a token'),
('[]', '', 'a list is nothing to keep'),
('"t"', '', 'nor is a word');
create table tests.kept_words (place integer, order_status text, kept text);
create function tests.keep_words(given tests.words) returns void
language plpgsql as $$
begin
    insert into tests.kept_words values (
        given.place, tests.pay_keeping('words-' || given.place, 'thandi', given.saved)
    );
    update tests.kept_words as k
    set kept = coalesce(
        (select concat_ws(' ', m.label, m.expires_on) from public.saved_payment_methods as m), ''
    )
    where k.place = given.place;
    delete from public.saved_payment_methods;
end
$$;
select count(tests.keep_words(w) is null) from tests.words as w;
select is(
    concat_ws(': ', k.order_status, k.kept), concat_ws(': ', 'paid', w.kept),
    w.title || ', and the order is paid'
)
from tests.words as w
inner join tests.kept_words as k on w.place = k.place
order by w.place;

-- What it cannot be -------------------------------------------------------------------------------

select is(
    tests.pay_keeping('mine', 'thandi', '{"token": "t-m", "label": "Mine"}'), 'paid',
    'given a card of thandi''s'
);
select is(
    tests.pay_keeping('his', 'bongani', '{"token": "t-h", "label": "His"}'), 'paid',
    'and one of bongani''s'
);
select tests.name_it(m.label, m.id) from public.saved_payment_methods as m;
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from (
    values
    ('update public.saved_payment_methods set label = ''''',
        'saved_payment_methods_label_is_one_line', 'a method without a name'),
    ('update public.saved_payment_methods set label = repeat(''x'', 61)',
        'saved_payment_methods_label_is_one_line', 'a name of 61 letters'),
    ('update public.saved_payment_methods set label = E''a\nb''',
        'saved_payment_methods_label_is_one_line', 'a name of two lines'),
    ('update public.saved_payment_methods set label = ''4111111111111111''',
        'saved_payment_methods_holds_no_card_number', 'a card number for a name'),
    ('update private.saved_payment_method_tokens set token = ''4111111111111111''',
        'saved_payment_method_tokens_holds_no_card_number', 'a card number for a token'),
    ('update private.saved_payment_method_tokens set token = ''t'', user_id = tests.id(''thandi'')',
        'saved_payment_method_tokens_token_key', 'one token twice of a person'),
    ('update public.saved_payment_methods set gateway = ''bank''',
        'saved_payment_methods_gateway_fkey', 'a method of no gateway'),
    ('update public.saved_payment_methods set method = ''shells''',
        'saved_payment_methods_method_fkey', 'a method of none'),
    ('update public.saved_payment_methods set user_id = gen_random_uuid()',
        'saved_payment_methods_user_id_fkey', 'a method of nobody'),
    ('update private.saved_payment_method_tokens set user_id = gen_random_uuid()',
        'saved_payment_method_tokens_user_id_fkey', 'a token of nobody')
) as b (sql, constraint_name, title);

-- Who sees and forgets it -------------------------------------------------------------------------

select tests.has_policies(
    'public.saved_payment_methods', 'select_own: select to authenticated',
    'delete_own: delete to authenticated'
);
select tests.has_policies('private.saved_payment_method_tokens');
create function tests.seen() returns text []
language sql stable as $$
    select array_agg(m.label order by m.label) from public.saved_payment_methods as m
$$;
create function tests.forget(name text) returns boolean
language sql as $$ select public.delete_saved_payment_method(tests.id(forget.name)) $$;
select tests.remember();
select tests.act_as_anon();
select tests.closed('public.saved_payment_methods');
select tests.closed('private.saved_payment_method_tokens');
select tests.denies('select public.delete_saved_payment_method(tests.id(''Mine''))',
    'a guest may not forget any');
select tests.act_as('thandi');
select is(tests.seen(), '{Mine}', 'thandi sees hers');
select tests.closed('public.saved_payment_methods', 'insert', 'update');
select tests.closed('private.saved_payment_method_tokens');
select tests.affects(
    'delete from public.saved_payment_methods where id = tests.id(''His'')', 0,
    'she cannot delete his'
);
select is(tests.forget('His'), false, 'nor forget it: for her it is not there');
select is(public.delete_saved_payment_method(null), false, 'nothing is nothing');
select is(public.delete_saved_payment_method(gen_random_uuid()), false, 'nor is what is not there');
select tests.act_as('chioma');
select is(tests.seen(), null, 'an admin sees none');
select is(tests.forget('Mine'), false, 'and forgets none');
select tests.closed('private.saved_payment_method_tokens');
select tests.become('authenticated', '{"role": "authenticated"}');
select is(tests.seen(), null, 'a token without a subject sees none');
select is(tests.forget('Mine'), false, 'and forgets none');
select tests.act_as_service_role();
select is(tests.seen(), '{His,Mine}', 'service_role sees all');
select tests.closed('public.saved_payment_methods', 'insert', 'update', 'delete');
select tests.closed('private.saved_payment_method_tokens');
select tests.denies('select public.delete_saved_payment_method(tests.id(''Mine''))',
    'but forgets none');
select tests.act_as_service();
select tests.closed('public.saved_payment_methods');
select tests.closed('private.saved_payment_method_tokens');
select tests.act_as_owner();
select tests.nothing_changed('and nothing has changed');

-- given a payment under way with it
select tests.place_order('paying', 'thandi', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select is(
    tests.begin_payment(
        'paying-payment', 'paying', gateways => '{paygate, payfast, kora}', method => null,
        saved_method_id => tests.id('Mine')
    ) ->> 'saved_method_token',
    't-m', 'given a payment with her card'
);
select tests.act_as('thandi');
select is(tests.forget('Mine'), true, 'when thandi forgets it');
select is(tests.forget('Mine'), false, 'twice is once');
select tests.act_as_owner();
select is(
    tests.kept(), '{bongani paygate card His = bongani paygate t-h}', 'its token is gone with it'
);
select results_eq(
    $$ select p.status::text, p.saved_payment_method_id
       from tests.payment('paying-payment') as p $$,
    $$ values ('pending', null::uuid) $$,
    'the payment stays'
);
select is(
    tests.apply('paying-payment', 'paid') ->> 'order_status', 'paid', 'and its money is taken'
);
select tests.act_as('bongani');
select tests.affects(
    'delete from public.saved_payment_methods where id = tests.id(''His'')', 1,
    'a person may also delete the row'
);
select tests.act_as_owner();
select is(tests.kept(), '{}', 'then nothing is kept');

select * from finish();
rollback;
