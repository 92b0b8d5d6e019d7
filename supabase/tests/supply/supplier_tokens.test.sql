-- A supplier platform's token: who consents, who may renew it, who is warned of its end.
begin;
\ir ../_helpers.psql
select plan(58);

-- given an admin, a shopper, and no platform connected yet
select tests.make_admin('chioma');
select tests.make_user('amina', 'fr', 'CM');
delete from private.supplier_tokens;
delete from private.payment_exceptions where kind = 'supplier_consent_ends';
delete from private.outbox;

create function tests.token(platform text default 'aliexpress') returns private.supplier_tokens
language sql security definer as $$
    select t.* from private.supplier_tokens as t where t.platform = token.platform
$$;
create function tests.claim(refused_token text default null, platform text default 'aliexpress')
returns jsonb
language sql as $$
    select service.claim_token_refresh(claim.platform, claim.refused_token, 30)
$$;
create function tests.record(
    lease uuid,
    access_token text,
    refresh_token text default 'rt-1',
    access_days numeric default 30,
    refresh_days numeric default 60
)
returns jsonb
language sql as $$
    select service.record_supplier_token(
        'aliexpress', record.lease, record.access_token, record.refresh_token,
        now() + record.access_days * interval '1 day',
        now() + record.refresh_days * interval '1 day', '100001'
    )
$$;
-- the token as it would stand so many days after it was given
create function tests.age(days numeric) returns void
language sql security definer as $$
    update private.supplier_tokens as t
    set issued_at = t.issued_at - age.days * interval '1 day',
        access_expires_at = t.access_expires_at - age.days * interval '1 day',
        refresh_expires_at = t.refresh_expires_at - age.days * interval '1 day'
$$;
create function tests.end_lease() returns void
language sql security definer as $$
    update private.supplier_tokens as t set lease_ends_at = now() where t.lease is not null
$$;
create function tests.warnings() returns table (detail text, resolution text)
language sql security definer as $$
    select e.detail, e.resolution
    from private.payment_exceptions as e
    where e.kind = 'supplier_consent_ends'
    order by e.created_at, e.detail
$$;

-- A person consents -------------------------------------------------------------------------------

select tests.act_as_service();
select is(tests.claim(), '{"state": "consent_needed"}', 'without a consent there is no token');
select lives_ok(
    $$select service.record_consent_page('aliexpress', 'https://consent.test/?client_id=1')$$,
    'the service says where one consents'
);
select lives_ok(
    $$select service.record_consent_page('aliexpress', 'https://consent.test/?client_id=2')$$,
    'and says it anew'
);
select is(tests.claim(), '{"state": "consent_needed"}', 'a page is no consent');
select tests.violates(
    $$select service.record_consent_page('amazon', 'https://consent.test/')$$,
    'supplier_tokens_platform_is_known', 'there are two platforms'
);
select tests.act_as('chioma');
select is(
    public.supplier_connections() -> 0,
    jsonb_build_object(
        'platform', 'aliexpress', 'account_id', null, 'status', 'disconnected',
        'access_expires_at', null, 'refresh_expires_at', null, 'refused_code', null,
        'consented_at', null, 'consented_by', null,
        'consent_url',
        'https://consent.test/?client_id=2&state=' || (tests.token()).consent_state
    ),
    'an admin sees where to consent'
);
select is(jsonb_array_length(public.supplier_connections()), 1, 'one row a platform');

select tests.remember();
select tests.refuses(
    format($$select public.connect_supplier('aliexpress', 'code-1', %L)$$, gen_random_uuid()),
    'PT400 supplier_consent_invalid', 'a state that was not given out is refused', 'aliexpress'
);
select tests.refuses(
    format(
        $$select public.connect_supplier('alibaba', 'code-1', %L)$$, (tests.token()).consent_state
    ),
    'PT400 supplier_consent_invalid', 'so is one of another platform', 'alibaba'
);
select tests.refuses(
    format(
        $$select public.connect_supplier('aliexpress', E'a\nb c', %L)$$,
        (tests.token()).consent_state
    ),
    'PT400 supplier_consent_invalid', 'and a code that is none', 'aliexpress'
);
select tests.act_as('amina');
select tests.refuses(
    format(
        $$select public.connect_supplier('aliexpress', 'code-1', %L)$$,
        (tests.token()).consent_state
    ),
    'PT403 admin_required', 'a shopper connects nothing'
);
select tests.refuses(
    'select public.supplier_connections()', 'PT403 admin_required', 'nor sees what is connected'
);
select tests.act_as_anon();
select tests.denies('select public.supplier_connections()', 'a guest does not');
select tests.denies(
    format(
        $$select public.connect_supplier('aliexpress', 'code-1', %L)$$,
        (tests.token()).consent_state
    ),
    'in no way'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing changed');

select tests.act_as('chioma');
select lives_ok(
    format(
        $$select public.connect_supplier('aliexpress', '3_500102_code', %L)$$,
        (tests.token()).consent_state
    ),
    'an admin comes back with the code and its state'
);
select is(
    public.supplier_connections() #>> '{0,status}', 'connecting', 'which waits for a worker'
);
select tests.act_as_owner();
select results_eq(
    'select o.job, o.args from private.outbox as o',
    $$values ('refresh_supplier_tokens', '{}'::jsonb)$$,
    'who is called at once'
);
select is((tests.token()).consented_by, tests.id('chioma'), 'and who did it is known');

-- One worker asks for the token -------------------------------------------------------------------

select tests.act_as_service();
select c.claim - 'lease' as claimed, c.claim ->> 'lease' as lease
from tests.claim() as c (claim)
\gset
select is(
    :'claimed'::jsonb, '{"state": "create", "code": "3_500102_code"}',
    'a worker may ask by the code'
);
select is(
    tests.claim(), '{"state": "awaited", "retry_after": 30}', 'another waits for it, without it'
);
select is(
    tests.record(gen_random_uuid(), 'at-0'), null, 'who does not hold the lease stores nothing'
);
select is(
    tests.record((:'lease')::uuid, 'at-1'),
    jsonb_build_object('access_token', 'at-1', 'good_until', now() + interval '24 days'),
    'who holds it does; four fifths of its life the token needs nothing'
);
select is(
    tests.record((:'lease')::uuid, 'at-2'), null,
    'once'
);
select is(
    tests.claim(),
    jsonb_build_object(
        'state', 'good', 'access_token', 'at-1', 'good_until', now() + interval '24 days'
    ),
    'everybody has the token'
);
select tests.act_as('chioma');
select is(
    public.supplier_connections() -> 0 ->> 'status', 'connected', 'the admin sees it connected'
);
select is_empty(
    $$select where public.supplier_connections()::text ~ '(at-1|rt-1|3_500102)'$$,
    'and no token'
);

-- It is renewed in time ---------------------------------------------------------------------------

select tests.act_as_owner();
select tests.age(25);
select tests.act_as_service();
select c.claim - 'lease' as claimed, c.claim ->> 'lease' as lease
from tests.claim() as c (claim)
\gset
select is(
    :'claimed'::jsonb,
    jsonb_build_object(
        'state', 'refresh', 'access_token', 'at-1', 'refresh_token', 'rt-1',
        'good_until', now() + interval '5 minutes'
    ),
    'after four fifths one worker may renew it, and has the old one meanwhile'
);
select is(
    tests.claim(),
    jsonb_build_object(
        'state', 'good', 'access_token', 'at-1', 'good_until', now() + interval '5 minutes'
    ),
    'the others work on with the old one'
);
select is(
    service.record_token_refused('aliexpress', gen_random_uuid(), 'server_error', false),
    'false', 'who does not hold the lease reports nothing'
);
select is(
    service.record_token_refused('aliexpress', :'lease', 'server_error', false),
    'true', 'a failure over there is reported'
);
select is(tests.claim() ->> 'state', 'good', 'and left alone for a minute');
select tests.act_as_owner();
select tests.end_lease();
select tests.act_as_service();
select tests.claim() ->> 'lease' as lease
\gset
select is(
    tests.record((:'lease')::uuid, 'at-2', null, 30, null) ->> 'access_token', 'at-2',
    'then another has its turn'
);
select results_eq(
    $$select t.refresh_token, t.refresh_expires_at from tests.token() as t$$,
    $$values ('rt-1', now() + interval '35 days')$$,
    'an answer without a refresh token leaves the old one'
);

-- A token that the platform refuses is renewed though it is not due -------------------------------

select is(tests.claim() ->> 'state', 'good', 'given a token that is not due');
select is(tests.claim('at-1') ->> 'access_token', 'at-2', 'who has an older one is given it');
select c.claim - 'lease' as claimed, c.claim ->> 'lease' as lease
from tests.claim('at-2') as c (claim)
\gset
select is(
    :'claimed'::jsonb, '{"state": "refresh", "refresh_token": "rt-1"}',
    'who was refused the present one may ask for the next'
);
select is(
    tests.claim('at-2') ->> 'state', 'awaited', 'another who was refused it waits for that'
);
select is(tests.claim() ->> 'access_token', 'at-2', 'who was not works on');
select tests.record((:'lease')::uuid, 'at-3', 'rt-3') is null as is_lost
\gset
select is(
    tests.claim('at-2') ->> 'access_token', 'at-3', 'and all have it then'
);

-- A lease whose holder died ends --------------------------------------------------------------------

select tests.claim('at-3') ->> 'lease' as lease
\gset
select tests.act_as_owner();
select tests.end_lease();
select tests.act_as_service();
select isnt(
    tests.claim('at-3') ->> 'lease', null, 'a lease that ran out is given to another'
);
select is(tests.record((:'lease')::uuid, 'at-4'), null, 'who lost it stores nothing');

-- The admins are warned of the end ------------------------------------------------------------------

select tests.act_as_owner();
update private.supplier_tokens set lease = null, lease_ends_at = null;
select tests.act_as_service();
select is(service.warn_of_token_ends(), '{"warned": 0}', 'sixty days before the end nobody is');
select tests.act_as_owner();
select tests.age(55.5);
select tests.act_as_service();
select is(service.warn_of_token_ends(), '{"warned": 1}', 'five days before it they are');
select is(service.warn_of_token_ends(), '{"warned": 0}', 'once');
select tests.act_as_owner();
select results_eq(
    'select w.detail, w.resolution from tests.warnings() as w',
    $$select 'aliexpress: ' || to_char(
        (now() + interval '4.5 days') at time zone 'utc', 'YYYY-MM-DD'
    ), null::text$$,
    'with the platform and the day'
);
select is(
    (
        select count(*) from private.emails as m
        where m.template = 'exception_opened' and m.user_id = tests.id('chioma')
    ),
    1::bigint, 'by mail too'
);
select tests.act_as_service();
select tests.claim('at-3') ->> 'lease' as lease
\gset
select tests.record((:'lease')::uuid, 'at-5', 'rt-5') ->> 'access_token' as stored
\gset
select tests.act_as_owner();
select results_eq(
    'select w.resolution from tests.warnings() as w', $$values ('settled')$$,
    'a token that lives on settles it'
);

-- A refusal for good --------------------------------------------------------------------------------

select tests.act_as_service();
select tests.claim('at-5') ->> 'lease' as lease
\gset
select is(
    service.record_token_refused('aliexpress', :'lease', 'consent_needed', true), 'true',
    'the platform wants a person'
);
select is(
    tests.claim('at-5'), '{"state": "consent_needed"}', 'nobody asks it again with the old token'
);
select is(
    tests.claim() ->> 'access_token', 'at-5', 'while the present one lives it is used'
);
select tests.act_as('chioma');
select is(
    (
        select jsonb_build_array(c -> 'status', c -> 'refused_code')
        from jsonb_array_elements(public.supplier_connections()) as c
    ),
    '["ending", "consent_needed"]', 'the admin sees why'
);
select tests.act_as_owner();
select results_eq(
    'select w.detail, w.resolution from tests.warnings() as w where w.resolution is null',
    $$values ('aliexpress: consent_needed', null::text)$$,
    'and was told'
);
select tests.act_as('chioma');
select lives_ok(
    format(
        $$select public.connect_supplier('aliexpress', 'code-2', %L)$$,
        (tests.token()).consent_state
    ),
    'a new consent'
);
select tests.act_as_service();
select is(tests.claim() ->> 'code', 'code-2', 'is changed for a token though the old one lives');

-- Closed --------------------------------------------------------------------------------------------

select tests.act_as('chioma');
select tests.denies('select * from private.supplier_tokens', 'an admin reads no token');
select tests.act_as_service();
select tests.denies('select * from private.supplier_tokens', 'nor does the service past its door');
select tests.act_as_service_role();
select tests.denies('select * from private.supplier_tokens', 'nor the API key''s role');

select * from finish();
rollback;
