insert into private.order_transitions (from_status, to_status)
values
('pending', 'paid'),
('pending', 'cancelled'),
('paid', 'shipped'),
('paid', 'cancelled'),
('shipped', 'delivered')
on conflict do nothing;

insert into private.payment_transitions (subject, from_status, to_status, needs_evidence)
values
('payment', 'pending', 'processing', false),
('payment', 'pending', 'paid', true),
('payment', 'pending', 'failed', false),
('payment', 'pending', 'cancelled', false),
('payment', 'processing', 'paid', true),
('payment', 'processing', 'failed', false),
('payment', 'processing', 'cancelled', false),
('payment', 'failed', 'paid', true),
('payment', 'cancelled', 'paid', true),
('payment', 'paid', 'partially_refunded', false),
('payment', 'paid', 'refunded', false),
('payment', 'partially_refunded', 'refunded', false),
('order', 'pending', 'processing', false),
('order', 'pending', 'paid', false),
('order', 'pending', 'failed', false),
('order', 'pending', 'cancelled', false),
('order', 'processing', 'paid', false),
('order', 'processing', 'failed', false),
('order', 'processing', 'cancelled', false),
('order', 'failed', 'paid', false),
('order', 'cancelled', 'paid', false),
('order', 'paid', 'partially_refunded', false),
('order', 'paid', 'refunded', false),
('order', 'partially_refunded', 'refunded', false),
('order', 'failed', 'processing', false),
('order', 'cancelled', 'processing', false)
on conflict (subject, from_status, to_status) do update
set needs_evidence = excluded.needs_evidence;
