create type public.order_status as enum ('pending', 'paid', 'shipped', 'delivered', 'cancelled');
create type public.payment_status as enum (
    'pending', 'processing', 'paid', 'failed', 'cancelled', 'partially_refunded', 'refunded'
);

comment on type public.order_status is
'pending: placed, stock held. paid: from pending, by the gateway''s own answer. shipped: from '
'paid. delivered: from shipped. cancelled: from pending (or, refunded, from paid).';
comment on type public.payment_status is
'pending: a row only. processing: the gateway accepted. paid, failed, cancelled: the gateway''s '
'answer. partially_refunded, refunded: from paid.';

create table private.order_transitions (
    from_status public.order_status not null,
    to_status public.order_status not null,
    primary key (from_status, to_status)
);

alter table private.order_transitions enable row level security;

comment on table private.order_transitions is
'Every allowed move of orders.status; what is not here is refused.';

create table private.payment_transitions (
    subject text not null,
    from_status public.payment_status not null,
    to_status public.payment_status not null,
    needs_evidence boolean not null default false,
    primary key (subject, from_status, to_status),
    constraint payment_transitions_subject_is_known check (subject in ('payment', 'order'))
);

alter table private.payment_transitions enable row level security;

comment on table private.payment_transitions is
'Every allowed move of payments.status (subject payment: one attempt, forward only) and of '
'orders.payment_status (subject order: a new attempt may follow a failed one). needs_evidence: '
'only on a fresh answer of the gateway itself.';
