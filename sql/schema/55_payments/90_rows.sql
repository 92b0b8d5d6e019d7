insert into private.refund_transitions (from_status, to_status)
values
('pending', 'processing'),
('pending', 'refunded'),
('pending', 'failed'),
('pending', 'cancelled'),
('processing', 'refunded'),
('processing', 'failed'),
('processing', 'pending'),
('failed', 'refunded')
on conflict do nothing;

insert into private.payment_exception_kinds (kind, title_en, title_fr, actions)
values
(
    'ambiguous_reference',
    'One notice or transaction belongs to several payments.',
    'Un avis ou une transaction appartient à plusieurs paiements.',
    '{recheck, dismiss}'
),
(
    'amount_mismatch',
    'Another sum was collected than the order asks for.',
    'Une autre somme que celle de la commande a été encaissée.',
    '{recheck, accept, refund, mark_refunded, dismiss}'
),
(
    'currency_mismatch',
    'Money came in another currency than the order''s.',
    'L''argent est arrivé dans une autre devise que celle de la commande.',
    '{recheck, refund, mark_refunded, dismiss}'
),
(
    'duplicate_payment',
    'The order had been paid already.',
    'La commande était déjà payée.',
    '{refund, mark_refunded, dismiss}'
),
(
    'late_payment',
    'The money came after the order was cancelled.',
    'L''argent est arrivé après l''annulation de la commande.',
    '{refund, mark_refunded, dismiss}'
),
(
    'exchange_rate_old',
    'No source gave an exchange rate for three days: prices keep the last one.',
    'Aucune source n''a donné de taux de change depuis trois jours : les prix gardent le dernier.',
    '{dismiss}'
),
(
    'exchange_rate_refused',
    'An exchange rate moved too far in a day: prices keep the last one until it is accepted.',
    'Un taux de change a trop bougé en un jour : les prix gardent le dernier tant qu''il n''est '
    'pas accepté.',
    '{dismiss}'
),
(
    'failed_refund',
    'A refund did not go through.',
    'Un remboursement n''a pas abouti.',
    '{retry, pay_out, mark_refunded, dismiss}'
),
(
    'invariant_violated',
    'The books or the stock do not agree with themselves.',
    'Les livres ou les stocks ne concordent pas.',
    '{dismiss}'
),
(
    'manual_refund',
    'A refund has to be made by hand.',
    'Un remboursement doit être fait à la main.',
    '{mark_refunded, pay_out, dismiss}'
),
(
    'missing_in_statement',
    'A paid order whose money the gateway''s statement does not show.',
    'Une commande payée dont l''argent manque au relevé du prestataire.',
    '{recheck, dismiss}'
),
(
    'price_held',
    'Prices set by hand are lower than what the goods now cost: they are not for sale.',
    'Des prix fixés à la main sont inférieurs à ce que coûtent désormais les articles : ils ne '
    'sont plus en vente.',
    '{dismiss}'
),
(
    'refund_mismatch',
    'Another sum was given back than asked for.',
    'Une autre somme que celle demandée a été remboursée.',
    '{recheck, mark_refunded, dismiss}'
),
(
    'reversed_by_gateway',
    'The gateway took the money back by itself.',
    'Le prestataire a lui-même repris l''argent.',
    '{recheck, accept, dismiss}'
),
(
    'statement_differs',
    'The gateway''s statement names another sum or fee.',
    'Le relevé du prestataire indique une autre somme ou d''autres frais.',
    '{dismiss}'
),
(
    'supplier_consent_ends',
    'The consent to use a supplier''s platform ends or was refused: give it anew.',
    'Le consentement donné à un fournisseur se termine ou a été refusé : donnez-le à nouveau.',
    '{dismiss}'
),
(
    'unknown_in_statement',
    'The gateway''s statement shows money that no payment knows.',
    'Le relevé du prestataire montre de l''argent qu''aucun paiement ne connaît.',
    '{dismiss}'
),
(
    'sync_failed',
    'A sync of a supplier''s catalogue could not go on.',
    'Une synchronisation du catalogue d''un fournisseur n''a pas pu continuer.',
    '{dismiss}'
),
(
    'sync_waiting',
    'A sync would change a large part of the catalogue and waits: approve or discard it.',
    'Une synchronisation changerait une grande partie du catalogue et attend : approuvez-la ou '
    'écartez-la.',
    '{dismiss}'
),
(
    'unknown_outcome',
    'Nobody can say how the payment ended.',
    'Nul ne sait comment le paiement s''est terminé.',
    '{recheck, dismiss}'
),
(
    'unknown_refund',
    'Nobody can say whether the refund went through.',
    'Nul ne sait si le remboursement a abouti.',
    '{recheck, retry, mark_refunded}'
),
(
    'unmatched_notice',
    'A gateway speaks of a payment that is not known here.',
    'Un prestataire parle d''un paiement inconnu ici.',
    '{dismiss}'
)
on conflict (kind) do update
set title_en = excluded.title_en,
    title_fr = excluded.title_fr,
    actions = excluded.actions;
