insert into private.repricings default values
on conflict do nothing;

insert into private.pricing_rates (currency, per_dollar, quoted_at, source)
values
('USD', 1, '2026-01-01 00:00:00+00', 'itself')
on conflict (currency) do nothing;

-- What admins change stays changed: rules are only ever added here.
insert into private.price_rules (
    id, component, channel, country, costs, percent, amount, per_kilogram, note,
    volume_divisor
)
values
(
    'b1000000-0000-4000-8000-000000000001', 'freight', 'retail', 'CM', '[0,)', 0, 2.00, 11.00,
    'A parcel by air to Douala, an estimate until the supplier quotes.', 6000
),
(
    'b1000000-0000-4000-8000-000000000002', 'freight', 'retail', 'ZA', '[0,)', 0, 1.50, 10.50,
    'A parcel by air to Johannesburg, an estimate until the supplier quotes.', 6000
),
(
    'b1000000-0000-4000-8000-000000000003', 'freight', 'wholesale', 'CM', '[0,)', 0, 0.10, 2.20,
    'A piece of a shared load by sea to Douala, an estimate.', null
),
(
    'b1000000-0000-4000-8000-000000000004', 'freight', 'wholesale', 'ZA', '[0,)', 0, 0.10, 1.80,
    'A piece of a shared load by sea to Durban, an estimate.', null
),
(
    'b1000000-0000-4000-8000-000000000005', 'duty', null, 'CM', '[0,)', 20, 0, 0,
    'The middle band of the tariff; categories have their own.', null
),
(
    'b1000000-0000-4000-8000-000000000006', 'duty', null, 'ZA', '[0,)', 20, 0, 0,
    'The flat rate of small parcels; categories have their own.', null
),
(
    'b1000000-0000-4000-8000-000000000007', 'exchange_buffer', null, null, '[0,)', 3, 0, 0,
    'Reference rates are not dealing rates.', null
),
(
    'b1000000-0000-4000-8000-000000000008', 'payment_fee', null, null, '[0,)', 3.5, 0, 0,
    'What gateways keep at most.', null
),
(
    'b1000000-0000-4000-8000-000000000009', 'margin', 'retail', null, '[0,5)', 80, 1.50, 0, null,
    null
),
(
    'b1000000-0000-4000-8000-000000000010', 'margin', 'retail', null, '[5,20)', 55, 4.00, 0, null,
    null
),
(
    'b1000000-0000-4000-8000-000000000011', 'margin', 'retail', null, '[20,100)', 40, 11.00, 0,
    null, null
),
(
    'b1000000-0000-4000-8000-000000000012', 'margin', 'retail', null, '[100,)', 28, 40.00, 0, null,
    null
),
(
    'b1000000-0000-4000-8000-000000000013', 'margin', 'wholesale', null, '[0,5)', 35, 0.10, 0,
    null, null
),
(
    'b1000000-0000-4000-8000-000000000014', 'margin', 'wholesale', null, '[5,50)', 25, 1.75, 0,
    null, null
),
(
    'b1000000-0000-4000-8000-000000000015', 'margin', 'wholesale', null, '[50,)', 18, 12.50, 0,
    null, null
),
(
    'b1000000-0000-4000-8000-000000000016', 'floor', null, null, '[0,)', 2, 0, 0,
    'What a piece costs, and a little for what goes wrong.', null
)
on conflict do nothing;

insert into private.price_roundings (currency, amounts, step, ending)
values
('XAF', '[0,10000)', 50, 0),
('XAF', '[10000,100000)', 100, 0),
('XAF', '[100000,)', 500, 0),
('ZAR', '[0,20)', 0.50, 0),
('ZAR', '[20,1000)', 1.00, 0.90),
('ZAR', '[1000,10000)', 10.00, 9.00),
('ZAR', '[10000,)', 50.00, 0)
on conflict do nothing;

insert into private.price_reasons (reason, text_en, text_fr)
values
(
    'listed_by_rule',
    'The price of one piece in this country, from the shop''s price rules.',
    'Le prix d''une pièce dans ce pays, selon les règles de prix de la boutique.'
),
(
    'listed_by_manual',
    'The price of one piece in this country was set by hand, which no rule overwrites.',
    'Le prix d''une pièce dans ce pays a été fixé à la main ; aucune règle ne l''écrase.'
),
(
    'held_under_floor',
    'Not for sale: the price is lower than what the piece now costs the shop.',
    'Hors vente : le prix est inférieur à ce que la pièce coûte désormais à la boutique.'
),
(
    'held_unpriced',
    'Not for sale: what a piece costs has risen, and the rules make no price of it.',
    'Hors vente : le coût de la pièce a augmenté et les règles n''en font aucun prix.'
),
(
    'other_variant',
    'This variant has a price of its own.',
    'Cette variante a son propre prix.'
),
(
    'cheapest_variant',
    'This variant costs what the product is listed at.',
    'Cette variante coûte le prix affiché du produit.'
),
(
    'variant_open',
    'Some variants are dearer than the listed price: one has to be chosen.',
    'Certaines variantes coûtent plus que le prix affiché : il faut en choisir une.'
),
(
    'quantity_outside',
    'The quantity is not in this range.',
    'La quantité n''est pas dans cette tranche.'
),
(
    'largest_discount',
    'The largest discount for this quantity.',
    'La plus forte remise pour cette quantité.'
),
(
    'larger_discount_won',
    'Another discount for this quantity is at least as large; discounts do not add up.',
    'Une autre remise pour cette quantité est au moins aussi forte ; elles ne se cumulent pas.'
),
(
    'discount_limited',
    'The discount ends here: nothing is sold for less.',
    'La remise s''arrête ici : rien n''est vendu en dessous.'
),
(
    'most_specific',
    'Of the rules of its kind the one that fits this product most closely.',
    'Parmi les règles de ce type, celle qui correspond le mieux à ce produit.'
),
(
    'less_specific',
    'Another rule fits this product more closely.',
    'Une autre règle correspond mieux à ce produit.'
),
(
    'other_country',
    'Holds for another country.',
    'Vaut pour un autre pays.'
),
(
    'other_channel',
    'Holds for the other channel.',
    'Vaut pour l''autre canal de vente.'
),
(
    'other_category',
    'Holds for another category.',
    'Vaut pour une autre catégorie.'
),
(
    'other_cost',
    'Holds for pieces of another cost.',
    'Vaut pour des pièces d''un autre coût.'
),
(
    'supplier_quoted',
    'The supplier quoted the freight.',
    'Le fournisseur a indiqué le transport.'
),
(
    'duty_known',
    'The duty is known from the customs code.',
    'Le droit de douane est connu par le code douanier.'
),
(
    'same_currency',
    'The supplier asks for the country''s own currency.',
    'Le fournisseur demande la monnaie du pays.'
)
on conflict (reason) do update
set text_en = excluded.text_en, text_fr = excluded.text_fr;
