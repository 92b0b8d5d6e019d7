insert into private.sync_sources (platform, channel, unknown_stock)
values ('aliexpress', 'retail', 0), ('alibaba', 'wholesale', 10000)
on conflict (platform) do nothing;

insert into private.sync_transitions (from_status, to_status)
values
('collecting', 'waiting'),
('collecting', 'applying'),
('collecting', 'failed'),
('waiting', 'applying'),
('waiting', 'discarded'),
('applying', 'done'),
('applying', 'failed')
on conflict do nothing;

-- Ranges are the shop's to change; what is kept here is that the rules exist.
insert into private.quality_rules (
    rule, position, channel, fact, minimum, maximum, evidence_fact, evidence_minimum, reason_en,
    reason_fr
)
values
(
    'image_missing', 10, null, 'image_count', 1, null, null, null,
    'There is no picture.', 'Il n''y a pas d''image.'
),
(
    'title_banned', 20, null, 'banned_words', null, 0, null, null,
    'The title has a word that we may not sell under.',
    'Le titre contient un mot que nous ne pouvons pas vendre.'
),
(
    'not_shipped', 30, null, 'ship_to_count', 1, null, null, null,
    'It is not sent to any of our countries.', 'Il n''est envoyé dans aucun de nos pays.'
),
(
    'stock_out', 40, null, 'stock', 1, null, null, null,
    'It is sold out.', 'Il est épuisé.'
),
(
    'rating_low', 50, null, 'rating', 4.0, null, 'review_count', 10,
    'Buyers rate it too low.', 'Les acheteurs le notent trop bas.'
),
(
    'seller_rating_low', 60, null, 'seller_rating', 4.0, null, null, null,
    'Its seller is rated too low.', 'Son vendeur est noté trop bas.'
),
(
    'reviews_few', 70, 'retail', 'review_count', 5, null, null, null,
    'Too few have reviewed it.', 'Trop peu d''avis.'
),
(
    'orders_few', 80, 'retail', 'order_count', 10, null, null, null,
    'Too few have ordered it.', 'Trop peu de commandes.'
),
(
    'price_odd', 90, null, 'price_to_median', 0.2, 5, null, null,
    'Its price is far from that of its like.', 'Son prix est loin de celui de ses semblables.'
)
on conflict (rule) do update
set position = excluded.position,
    channel = excluded.channel,
    fact = excluded.fact,
    evidence_fact = excluded.evidence_fact,
    evidence_minimum = excluded.evidence_minimum,
    reason_en = excluded.reason_en,
    reason_fr = excluded.reason_fr;

insert into private.banned_words (word, note)
values
('replica', 'counterfeit goods'),
('counterfeit', 'counterfeit goods'),
('fake brand', 'counterfeit goods'),
('knockoff', 'counterfeit goods'),
('pistol', 'weapons'),
('rifle', 'weapons'),
('ammunition', 'weapons'),
('cigarettes', 'tobacco'),
('vape', 'tobacco'),
('cannabis', 'drugs')
on conflict (word) do nothing;
