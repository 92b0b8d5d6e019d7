create table private.gateway_statements (
    id uuid primary key default gen_random_uuid(),
    gateway text not null references private.payment_gateways (code) on delete restrict,
    file_name text not null,
    content_hash bytea not null,
    imported_by uuid not null references public.users (id) on delete restrict,
    created_at timestamptz not null default now(),
    constraint gateway_statements_content_hash_key unique (gateway, content_hash),
    constraint gateway_statements_file_name_is_one_line
    check (file_name ~ '^[^[:cntrl:]]{1,200}$' and not private.holds_card_number(file_name))
);

alter table private.gateway_statements enable row level security;

create index gateway_statements_imported_by_idx on private.gateway_statements (imported_by);

comment on table private.gateway_statements is
'Statements of gateways as admins brought them in; the same content once.';

create table private.gateway_statement_lines (
    id uuid primary key default gen_random_uuid(),
    statement_id uuid not null
    references private.gateway_statements (id) on delete restrict,
    line_number integer not null,
    kind text not null,
    reference text,
    transaction_id text,
    occurred_at timestamptz not null,
    gross numeric(12, 2) not null,
    fee numeric(12, 2),
    currency text not null,
    settled_amount numeric(12, 2),
    settled_currency text,
    payment_id uuid references public.payments (id) on delete restrict,
    refund_id uuid references public.refunds (id) on delete restrict,
    outcome text not null,
    constraint gateway_statement_lines_line_number_key unique (statement_id, line_number),
    constraint gateway_statement_lines_kind_is_known
    check (kind in ('payment', 'refund', 'settlement', 'other')),
    constraint gateway_statement_lines_outcome_is_known
    check (outcome in ('matched', 'differs', 'unknown', 'noted')),
    constraint gateway_statement_lines_settlement_is_whole
    check (num_nonnulls(settled_amount, settled_currency) in (0, 2))
);

alter table private.gateway_statement_lines enable row level security;

create index gateway_statement_lines_payment_id_idx
on private.gateway_statement_lines (payment_id);
create index gateway_statement_lines_refund_id_idx on private.gateway_statement_lines (refund_id);

comment on table private.gateway_statement_lines is
'What a gateway says it did: amounts in currency, fee positive. matched: as the books say. '
'differs: another sum or fee. unknown: the books know nothing of it. noted: not a payment.';

create or replace function private.read_statement_line(
    gateway private.payment_gateways, line jsonb, line_number integer
)
returns private.gateway_statement_lines
language plpgsql
stable
set search_path = ''
as $$
declare
    v_line private.gateway_statement_lines;
    v_name text;
    v_column text;
    v_value text;
    v_values jsonb := '{}'::jsonb;
    v_is_readable boolean := true;
    v_kind text;
begin
    foreach v_name in array array[
        'kind', 'reference', 'transaction_id', 'occurred_at', 'gross', 'fee', 'currency',
        'settled_amount', 'settled_currency'
    ] loop
        v_column := coalesce(read_statement_line.gateway.statement_columns ->> v_name, v_name);
        v_value := nullif(btrim(read_statement_line.line ->> v_column), '');
        begin
            if v_name in ('gross', 'fee', 'settled_amount') then
                v_value := regexp_replace(v_value, '\s', '', 'g');
                v_is_readable := coalesce(v_value ~ '^-?[0-9]{1,10}([.][0-9]{1,4})?$', true);
                v_value := v_value::numeric(12, 2)::text;
            elsif v_name = 'occurred_at' then
                v_is_readable := coalesce(v_value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}', true);
                v_value := case
                    when v_value ~ '(Z|[+-][0-9]{2}(:?[0-9]{2})?)$'
                        and v_value ~ ':' then v_value::timestamptz
                    else v_value::timestamp at time zone read_statement_line.gateway.time_zone
                end::text;
            elsif v_name in ('reference', 'transaction_id') then
                v_value := left(private.clean_words(v_value), 100);
            elsif v_name in ('currency', 'settled_currency') and v_value !~ '^[A-Z]{3}$' then
                v_value := null;
                v_is_readable := false;
            end if;
        exception
            when data_exception then
                v_is_readable := false;
        end;
        if not v_is_readable
            or v_value is null and v_name in ('occurred_at', 'gross', 'currency') then
            perform private.fail('statement_invalid', jsonb_build_object(
                'line', read_statement_line.line_number, 'column', v_column
            )::text);
        end if;
        v_values := v_values || jsonb_build_object(v_name, v_value);
    end loop;
    v_kind := lower(v_values ->> 'kind');
    v_line.line_number := read_statement_line.line_number;
    v_line.kind := case
        when v_kind ~ 'refund|reversal|remboursement' then 'refund'
        when v_kind ~ 'settle|payout|withdraw' then 'settlement'
        when v_kind is null or v_kind ~ 'pay|received|charge|sale|collection' then 'payment'
        else 'other'
    end;
    v_line.reference := v_values ->> 'reference';
    v_line.transaction_id := v_values ->> 'transaction_id';
    v_line.occurred_at := (v_values ->> 'occurred_at')::timestamptz;
    v_line.gross := abs((v_values ->> 'gross')::numeric);
    v_line.fee := abs((v_values ->> 'fee')::numeric);
    v_line.currency := v_values ->> 'currency';
    v_line.settled_amount := (v_values ->> 'settled_amount')::numeric;
    v_line.settled_currency := v_values ->> 'settled_currency';
    if v_line.settled_amount is not null and v_line.settled_currency is null then
        v_line.settled_currency := v_line.currency;
    elsif v_line.settled_amount is null then
        v_line.settled_currency := null;
    end if;
    return v_line;
end
$$;

create or replace function private.post_settlement(
    gateway text, line private.gateway_statement_lines
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_line private.gateway_statement_lines := post_settlement.line;
    -- Exports overlap: the same line of the gateway posts once, whichever statement it stands in.
    v_subject_id uuid := md5(concat_ws(
        '/', post_settlement.gateway, v_line.kind,
        coalesce(v_line.transaction_id, v_line.reference, v_line.occurred_at::text),
        v_line.gross, v_line.currency
    ))::uuid;
begin
    if v_line.settled_amount is null
        or v_line.settled_amount <= 0
        or v_line.gross <= coalesce(v_line.fee, 0)
        or v_line.kind not in ('payment', 'settlement')
        or exists (
            select from private.ledger_transactions as t
            where t.kind = 'settlement' and t.subject_id = v_subject_id
        ) then
        return;
    end if;
    -- Of a payment the gateway kept its fee before it settled the rest.
    perform private.settle_gateway(
        v_subject_id, post_settlement.gateway,
        v_line.gross - case when v_line.kind = 'payment' then coalesce(v_line.fee, 0) else 0 end,
        v_line.currency, v_line.settled_amount, v_line.settled_currency
    );
end
$$;

create or replace function private.match_statement_line(
    gateway text, line private.gateway_statement_lines
)
returns private.gateway_statement_lines
language plpgsql
set search_path = ''
as $$
declare
    v_line private.gateway_statement_lines := match_statement_line.line;
    v_payment public.payments;
    v_refund public.refunds;
begin
    if v_line.kind in ('settlement', 'other') then
        v_line.outcome := 'noted';
        return v_line;
    end if;
    if v_line.kind = 'refund' then
        -- A gateway may name the refund or only its payment: then the one of that sum that no other
        -- line has taken.
        select r.* into v_refund
        from public.refunds as r
        inner join public.payments as p on r.payment_id = p.id
        where r.gateway = match_statement_line.gateway
            and (
                r.reference = v_line.reference
                or r.gateway_refund_id = v_line.transaction_id
                or p.reference = v_line.reference
                or p.gateway_transaction_id = v_line.transaction_id
            )
        order by
            coalesce(
                r.reference = v_line.reference or r.gateway_refund_id = v_line.transaction_id, false
            ) desc,
            (
                r.status = 'refunded'
                and r.amount = v_line.gross
                and r.currency = v_line.currency
            ) desc,
            exists (
                select from private.gateway_statement_lines as l
                where l.statement_id = v_line.statement_id and l.refund_id = r.id
            ),
            r.created_at,
            r.id
        limit 1;
        v_line.refund_id := v_refund.id;
        v_line.payment_id := v_refund.payment_id;
        v_line.outcome := case
            when v_refund.id is null then 'unknown'
            when v_refund.status = 'refunded'
                and v_refund.amount = v_line.gross
                and v_refund.currency = v_line.currency then 'matched'
            else 'differs'
        end;
        return v_line;
    end if;
    -- The transaction's own id before our reference: one attempt may hold two transactions.
    select p.* into v_payment
    from public.payments as p
    where p.gateway = match_statement_line.gateway
        and (
            p.gateway_transaction_id = v_line.transaction_id
            or p.gateway_session = v_line.transaction_id
            or p.reference = v_line.reference
        )
    order by (p.gateway_transaction_id is not distinct from v_line.transaction_id) desc
    limit 1;
    if v_payment.id is null then
        v_line.outcome := 'unknown';
        return v_line;
    end if;
    v_payment := private.lock_payment(v_payment.id);
    v_line.payment_id := v_payment.id;
    v_line.outcome := case
        when v_payment.paid_at is not null
            and v_payment.collected_amount = v_line.gross
            and v_payment.collected_currency = v_line.currency
            and coalesce(v_payment.fee_amount = v_line.fee, true) then 'matched'
        else 'differs'
    end;
    -- A fee that only the statement knows is posted now.
    if v_line.outcome = 'matched' and v_payment.fee_amount is null then
        perform private.record_fee(v_payment, v_line.fee);
    end if;
    return v_line;
end
$$;

create or replace function service.import_statement(
    actor_id uuid, gateway text, file_name text, lines jsonb
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_gateway private.payment_gateways;
    v_hash bytea := sha256(convert_to(import_statement.lines::text, 'utf8'));
    v_statement_id uuid;
    v_value jsonb;
    v_line private.gateway_statement_lines;
    v_read private.gateway_statement_lines [] := array[]::private.gateway_statement_lines [];
    v_number integer := 0;
    v_exception text;
    v_is_alerted boolean := false;
begin
    if not private.is_admin(import_statement.actor_id) then
        perform private.fail('admin_required');
    end if;
    select g.* into v_gateway
    from private.payment_gateways as g where g.code = import_statement.gateway;
    if not found then
        perform private.fail('payment_gateway_unknown', left(import_statement.gateway, 60));
    end if;
    if import_statement.file_name is null
        or import_statement.file_name !~ '^[^[:cntrl:]]{1,200}$'
        or private.holds_card_number(import_statement.file_name)
        or jsonb_typeof(import_statement.lines) is distinct from 'array'
        or jsonb_array_length(import_statement.lines) not between 1 and 20000 then
        perform private.fail('statement_invalid', jsonb_build_object('line', null)::text);
    end if;
    perform private.act_as('admin', import_statement.actor_id);
    insert into private.gateway_statements (gateway, file_name, content_hash, imported_by)
    values (
        v_gateway.code, import_statement.file_name, v_hash, import_statement.actor_id
    )
    on conflict on constraint gateway_statements_content_hash_key do nothing
    returning id into v_statement_id;
    if v_statement_id is null then
        select s.id into strict v_statement_id
        from private.gateway_statements as s
        where s.gateway = v_gateway.code and s.content_hash = v_hash;
        return private.statement_as_json(v_statement_id) || jsonb_build_object('is_new', false);
    end if;

    -- All is read before anything is matched, and rows are locked in one order.
    for v_value in select l.value from jsonb_array_elements(import_statement.lines) as l loop
        v_number := v_number + 1;
        v_read := v_read || private.read_statement_line(v_gateway, v_value, v_number);
    end loop;
    for v_line in
        select l.* from unnest(v_read) as l order by l.reference, l.transaction_id, l.line_number
    loop
        v_line.id := gen_random_uuid();
        v_line.statement_id := v_statement_id;
        v_line := private.match_statement_line(v_gateway.code, v_line);
        -- the same payment on two lines: the gateway says it took it twice
        if v_line.outcome = 'matched' and exists (
            select
            from private.gateway_statement_lines as l
            where l.statement_id = v_statement_id
                and l.kind = v_line.kind
                and l.payment_id = v_line.payment_id
                and l.refund_id is not distinct from v_line.refund_id
        ) then
            v_line.outcome := 'differs';
        end if;
        insert into private.gateway_statement_lines values (v_line.*);
        perform private.post_settlement(v_gateway.code, v_line);
        v_exception := case v_line.outcome
            when 'unknown' then 'unknown_in_statement'
            when 'differs' then 'statement_differs'
        end;
        if v_exception is not null then
            perform private.open_payment_exception(
                kind => v_exception, payment_id => v_line.payment_id,
                refund_id => v_line.refund_id, subject_id => v_line.id,
                gateway => v_gateway.code, amount => v_line.gross, currency => v_line.currency,
                detail => format('line %s of %s', v_line.line_number, import_statement.file_name),
                evidence => to_jsonb(v_line),
                -- one alert a statement, for its first line that does not fit
                is_handled => v_is_alerted
            );
            v_is_alerted := true;
        end if;
    end loop;
    perform private.find_missing_in_statement(v_statement_id);
    return private.statement_as_json(v_statement_id) || jsonb_build_object('is_new', true);
end
$$;

create or replace function private.find_missing_in_statement(statement_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- Between its first and its last line a statement should show all that was paid; an hour is
    -- left to clocks that differ.
    perform private.open_payment_exception(
        kind => 'missing_in_statement', payment_id => p.id,
        detail => 'not in ' || s.file_name
    )
    from private.gateway_statements as s
    cross join lateral (
        select min(l.occurred_at) as first_at, max(l.occurred_at) as last_at
        from private.gateway_statement_lines as l
        where l.statement_id = s.id and l.kind = 'payment'
    ) as span
    inner join public.payments as p
        on p.gateway = s.gateway
        and p.paid_at > span.first_at + interval '1 hour'
        and p.paid_at < span.last_at - interval '1 hour'
    where s.id = find_missing_in_statement.statement_id
        and not exists (
            select from private.gateway_statement_lines as l where l.payment_id = p.id
        );
end
$$;

create or replace function private.statement_as_json(statement_id uuid)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'statement_id', statement_as_json.statement_id,
            'lines', count(*),
            'matched', count(*) filter (where l.outcome = 'matched'),
            'differing', count(*) filter (where l.outcome = 'differs'),
            'unknown', count(*) filter (where l.outcome = 'unknown')
        )
    from private.gateway_statement_lines as l
    where l.statement_id = statement_as_json.statement_id
$$;

revoke all on function private.read_statement_line(private.payment_gateways, jsonb, integer)
from public;
revoke all on function private.post_settlement(text, private.gateway_statement_lines)
from public;
revoke all on function private.match_statement_line(text, private.gateway_statement_lines)
from public;
revoke all on function private.find_missing_in_statement(uuid) from public;
revoke all on function private.statement_as_json(uuid) from public;
revoke all on function service.import_statement(uuid, text, text, jsonb) from public;
grant execute on function service.import_statement(uuid, text, text, jsonb) to mallgram_service;

comment on function private.read_statement_line(private.payment_gateways, jsonb, integer) is
'A line by the gateway''s column names. Error: statement_invalid, with {line, column} in detail.';
comment on function private.post_settlement(text, private.gateway_statement_lines) is
'Posts what a line says the gateway paid to the bank, once a line of the gateway''s.';
comment on function private.match_statement_line(text, private.gateway_statement_lines) is
'The line with the payment or refund it is about, and whether the books say the same.';
comment on function private.find_missing_in_statement(uuid) is
'Puts paid payments before a person that the statement should show and does not.';
comment on function private.statement_as_json(uuid) is
'{statement_id, lines, matched, differing, unknown}.';
comment on function service.import_statement(uuid, text, text, jsonb) is
'An admin brings a gateway''s statement in: lines [{column: text}] under the gateway''s own column '
'names. Compares it with the books, posts fees and settlements that only it knows, and puts what '
'does not fit before a person: {statement_id, lines, matched, differing, unknown, is_new}. The '
'same content twice is once. Definer because the books are closed to the service. Errors: '
'admin_required, payment_gateway_unknown, statement_invalid.';
