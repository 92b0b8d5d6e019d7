-- What a client's key already did. A key belongs to a user and an operation and is kept 30 days.

create table private.idempotency_keys (
    user_id uuid not null,
    operation text not null,
    idempotency_key text not null,
    request_hash bytea not null,
    response jsonb not null,
    created_at timestamptz not null default now(),
    primary key (user_id, operation, idempotency_key),
    constraint idempotency_keys_key_is_printable
    check (char_length(idempotency_key) between 8 and 200 and idempotency_key !~ '[^!-~]')
);

alter table private.idempotency_keys enable row level security;

create index idempotency_keys_created_at_idx on private.idempotency_keys (created_at);

comment on table private.idempotency_keys is
'Answers already given, by (user, operation, key): the same body gets the same answer again.';

create or replace function private.replay_idempotent(
    user_id uuid, operation text, idempotency_key text, request_hash bytea
)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_key private.idempotency_keys;
begin
    -- A bounded repeat in the pattern would cost fifty times the two conditions.
    if replay_idempotent.idempotency_key is null
        or char_length(replay_idempotent.idempotency_key) not between 8 and 200
        or replay_idempotent.idempotency_key ~ '[^!-~]'
        or private.holds_card_number(replay_idempotent.idempotency_key) then
        perform private.fail('idempotency_key_invalid', left(replay_idempotent.idempotency_key, 200));
    end if;
    -- One holder of a key at a time: the second waits here and then reads the first one's answer.
    perform pg_advisory_xact_lock(hashtextextended(
        concat_ws('/', replay_idempotent.user_id, replay_idempotent.operation,
            replay_idempotent.idempotency_key), 0
    ));
    select * into v_key
    from private.idempotency_keys as k
    where k.user_id = replay_idempotent.user_id
        and k.operation = replay_idempotent.operation
        and k.idempotency_key = replay_idempotent.idempotency_key;
    if v_key.request_hash is distinct from replay_idempotent.request_hash and found then
        perform private.fail('idempotency_key_reused', replay_idempotent.idempotency_key);
    end if;
    return v_key.response;
end
$$;

revoke all on function private.replay_idempotent(uuid, text, text, bytea) from public;

comment on function private.replay_idempotent(uuid, text, text, bytea) is
'The stored answer of a key, null when it is new; holds the key until the transaction ends. '
'Errors: idempotency_key_invalid, idempotency_key_reused.';
