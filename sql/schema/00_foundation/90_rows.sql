insert into private.error_codes (code, status, message_en, message_fr)
values
(
    'address_country_mismatch', 400,
    'The address is not in the country of the order.',
    'L''adresse n''est pas dans le pays de la commande.'
),
(
    'address_invalid', 400,
    'The address is not complete or not valid. The details name the field.',
    'L''adresse est incomplète ou invalide. Le détail indique le champ.'
),
(
    'address_not_found', 404,
    'There is no such address in your address book.',
    'Cette adresse n''est pas dans votre carnet.'
),
(
    'admin_required', 403,
    'Only an administrator may do this.',
    'Seul un administrateur peut faire cela.'
),
(
    'already_exists', 409,
    'This exists already.',
    'Cela existe déjà.'
),
(
    'auth_unavailable', 503,
    'The sign-in service does not answer. Please try again in a moment.',
    'Le service de connexion ne répond pas. Réessayez dans un instant.'
),
(
    'authentication_required', 401,
    'Sign in to do this.',
    'Connectez-vous pour faire cela.'
),
(
    'body_too_large', 413,
    'The request body is too large.',
    'Le corps de la requête est trop grand.'
),
(
    'card_number_refused', 400,
    'Card numbers do not belong here. They are entered on the page of the payment service.',
    'Pas de numéro de carte ici : il se saisit sur la page du service de paiement.'
),
(
    'cart_empty', 400,
    'There is nothing to order.',
    'Il n''y a rien à commander.'
),
(
    'category_not_found', 404,
    'There is no such category.',
    'Cette catégorie n''existe pas.'
),
(
    'conflict', 409,
    'This does not fit the current state. Look again and retry.',
    'Cela ne va pas avec l''état actuel. Regardez à nouveau puis réessayez.'
),
(
    'country_unknown', 400,
    'The shop does not sell to this country.',
    'La boutique ne vend pas dans ce pays.'
),
(
    'currency_unknown', 400,
    'The shop does not know this currency.',
    'La boutique ne connaît pas cette devise.'
),
(
    'cursor_invalid', 400,
    'The cursor is not one that this list gave out.',
    'Ce curseur ne vient pas de cette liste.'
),
(
    'data_api_unavailable', 503,
    'The data service does not answer. Please try again in a moment.',
    'Le service de données ne répond pas. Réessayez dans un instant.'
),
(
    'database_busy', 503,
    'Many people want the same thing at once. Please try again.',
    'Beaucoup de monde veut la même chose à la fois. Veuillez réessayer.'
),
(
    'database_timeout', 503,
    'The database took too long. Please try again in a moment.',
    'La base de données a mis trop de temps. Réessayez dans un instant.'
),
(
    'database_unavailable', 503,
    'The database does not answer. Please try again in a moment.',
    'La base de données ne répond pas. Réessayez dans un instant.'
),
(
    'email_not_confirmed', 403,
    'Confirm your e-mail address first, with the code that we mailed to you.',
    'Confirmez d''abord votre adresse e-mail avec le code que nous vous avons envoyé.'
),
(
    'exception_action_refused', 409,
    'This action is not possible here now.',
    'Cette action n''est pas possible ici maintenant.'
),
(
    'exception_not_found', 404,
    'There is no such exception.',
    'Cette exception n''existe pas.'
),
(
    'exception_note_required', 400,
    'Say why in the note.',
    'Dites pourquoi dans la note.'
),
(
    'exception_resolved', 409,
    'This exception is resolved already.',
    'Cette exception est déjà résolue.'
),
(
    'field_unknown', 400,
    'There is no such field.',
    'Ce champ n''existe pas.'
),
(
    'idempotency_key_invalid', 400,
    'An idempotency key is 8 to 200 printable characters, the same in header and body.',
    'Une clé d''idempotence a 8 à 200 caractères imprimables, les mêmes en en-tête et en corps.'
),
(
    'idempotency_key_required', 400,
    'Send an Idempotency-Key header, a new one for each order or refund.',
    'Envoyez un en-tête Idempotency-Key, nouveau pour chaque commande ou remboursement.'
),
(
    'idempotency_key_reused', 409,
    'This idempotency key was used for another request.',
    'Cette clé d''idempotence a servi à une autre requête.'
),
(
    'input_invalid', 400,
    'The request is not valid. See the errors for each field.',
    'La requête n''est pas valide. Voyez les erreurs de chaque champ.'
),
(
    'internal_error', 500,
    'Something went wrong on our side. Please try again.',
    'Une erreur est survenue de notre côté. Veuillez réessayer.'
),
(
    'invalid_credentials', 401,
    'The e-mail address or the password is wrong.',
    'L''adresse e-mail ou le mot de passe est faux.'
),
(
    'json_malformed', 400,
    'The request body is not valid JSON.',
    'Le corps de la requête n''est pas du JSON valide.'
),
(
    'language_unknown', 400,
    'The language must be en or fr.',
    'La langue doit être en ou fr.'
),
(
    'ledger_unbalanced', 409,
    'The entries of a transaction must sum to zero in each currency.',
    'Les écritures d''une transaction doivent s''annuler dans chaque devise.'
),
(
    'media_type_unsupported', 415,
    'Send the body as application/json.',
    'Envoyez le corps en application/json.'
),
(
    'method_not_allowed', 405,
    'This address does not take this method.',
    'Cette adresse n''accepte pas cette méthode.'
),
(
    'not_allowed', 403,
    'You may not do this.',
    'Vous n''avez pas le droit de faire cela.'
),
(
    'not_found', 404,
    'There is nothing here.',
    'Il n''y a rien ici.'
),
(
    'order_items_invalid', 400,
    'The list of items is not valid. The details name the place.',
    'La liste d''articles n''est pas valide. Le détail indique l''endroit.'
),
(
    'order_item_not_found', 404,
    'There is no such line in an order of yours.',
    'Vous n''avez pas de telle ligne de commande.'
),
(
    'order_not_cancellable', 409,
    'This order can no longer be cancelled.',
    'Cette commande ne peut plus être annulée.'
),
(
    'order_not_editable', 409,
    'This order can no longer be changed.',
    'Cette commande ne peut plus être modifiée.'
),
(
    'order_not_found', 404,
    'There is no such order of yours.',
    'Vous n''avez pas de telle commande.'
),
(
    'order_not_payable', 409,
    'This order cannot be paid: it is paid, cancelled or has expired.',
    'Cette commande ne peut pas être payée : elle est payée, annulée ou expirée.'
),
(
    'order_total_too_large', 409,
    'This is more than one order can hold. Please make several of it.',
    'C''est plus qu''une seule commande ne peut contenir. Répartissez-la en plusieurs.'
),
(
    'order_total_too_small', 409,
    'After the discount there is nothing left to pay.',
    'Après la remise, il ne reste rien à payer.'
),
(
    'order_transition_refused', 409,
    'The order cannot move to this state.',
    'La commande ne peut pas passer à cet état.'
),
(
    'page_size_invalid', 400,
    'A page has 1 to 100 rows.',
    'Une page compte de 1 à 100 lignes.'
),
(
    'payment_gateway_unavailable', 503,
    'No payment service took the payment; nothing was charged. Please try again.',
    'Aucun service n''a pris le paiement ; rien n''a été débité. Veuillez réessayer.'
),
(
    'payment_gateway_unknown', 404,
    'There is no such payment service.',
    'Ce service de paiement n''existe pas.'
),
(
    'payment_method_unavailable', 409,
    'This payment method is not available just now. Please choose another.',
    'Ce moyen de paiement n''est pas disponible en ce moment. Choisissez-en un autre.'
),
(
    'payment_method_unknown', 400,
    'There is no such payment method.',
    'Ce moyen de paiement n''existe pas.'
),
(
    'payment_not_found', 404,
    'There is no such payment of yours.',
    'Vous n''avez pas de tel paiement.'
),
(
    'payment_not_refundable', 409,
    'This payment cannot be refunded: nothing of it is left, or it was never paid.',
    'Ce paiement ne peut pas être remboursé : il n''en reste rien, ou il n''a pas été payé.'
),
(
    'payment_outcome_unknown', 503,
    'The payment service has not answered yet. Ask for the payment''s status; do not pay twice.',
    'Le service n''a pas encore répondu. Demandez l''état du paiement ; ne payez pas deux fois.'
),
(
    'payment_phone_invalid', 400,
    'A phone number begins with + and the country code.',
    'Un numéro de téléphone commence par + et l''indicatif du pays.'
),
(
    'payment_phone_required', 400,
    'This payment method needs the phone number that pays.',
    'Ce moyen de paiement demande le numéro de téléphone qui paie.'
),
(
    'payment_rejected', 409,
    'The payment service refused the payment; nothing was charged. Please choose another way.',
    'Le service a refusé le paiement ; rien n''a été débité. Choisissez un autre moyen.'
),
(
    'payment_transition_refused', 409,
    'The payment cannot move to this state.',
    'Le paiement ne peut pas passer à cet état.'
),
(
    'exchange_rate_not_found', 404,
    'There is no such exchange rate.',
    'Ce taux de change n''existe pas.'
),
(
    'exchange_rate_superseded', 409,
    'This exchange rate was accepted before, or a newer one is there.',
    'Ce taux de change a déjà été accepté, ou un plus récent existe.'
),
(
    'price_below_floor', 409,
    'The price is lower than what the piece costs the shop: explain_price says its floor.',
    'Le prix est inférieur à ce que la pièce coûte à la boutique : explain_price dit le plancher.'
),
(
    'price_currency_mismatch', 400,
    'A price must be in the currency of its country.',
    'Un prix doit être dans la devise de son pays.'
),
(
    'price_invalid', 400,
    'A price is more than nothing and less than ten billion.',
    'Un prix est supérieur à zéro et inférieur à dix milliards.'
),
(
    'price_not_rounded', 400,
    'The amount has more decimals than its currency.',
    'Le montant a plus de décimales que sa devise.'
),
(
    'price_roundings_invalid', 400,
    'Prices cannot be rounded so. The details name the value.',
    'Les prix ne peuvent pas être arrondis ainsi. Le détail indique la valeur.'
),
(
    'price_rule_invalid', 400,
    'A price rule cannot be so. The details name the value.',
    'Une règle de prix ne peut pas être ainsi. Le détail indique la valeur.'
),
(
    'price_rule_not_found', 404,
    'There is no such price rule.',
    'Cette règle de prix n''existe pas.'
),
(
    'price_rule_overlaps', 409,
    'Another price rule holds for a part of these costs. The details name it.',
    'Une autre règle de prix vaut pour une partie de ces coûts. Le détail l''indique.'
),
(
    'price_tier_too_low', 400,
    'A price break must begin above the least quantity.',
    'Une remise par quantité doit commencer au-dessus de la quantité minimale.'
),
(
    'product_not_found', 404,
    'There is no such product on sale.',
    'Ce produit n''est pas en vente.'
),
(
    'product_not_sold_in_country', 409,
    'This product is not sold in this country.',
    'Ce produit n''est pas vendu dans ce pays.'
),
(
    'promo_code_currency_mismatch', 409,
    'This promo code holds for another currency.',
    'Ce code promo vaut pour une autre devise.'
),
(
    'promo_code_exhausted', 409,
    'This promo code has been used up.',
    'Ce code promo est épuisé.'
),
(
    'promo_code_expired', 409,
    'This promo code has expired.',
    'Ce code promo a expiré.'
),
(
    'promo_code_inactive', 409,
    'This promo code is not active.',
    'Ce code promo n''est pas actif.'
),
(
    'promo_code_not_found', 404,
    'There is no such promo code.',
    'Ce code promo n''existe pas.'
),
(
    'promo_code_not_started', 409,
    'This promo code is not valid yet.',
    'Ce code promo n''est pas encore valable.'
),
(
    'promo_code_own', 409,
    'Your own promo code is for others.',
    'Votre propre code promo est pour les autres.'
),
(
    'promo_code_used_up', 409,
    'You have used this promo code as often as it allows.',
    'Vous avez utilisé ce code promo autant de fois que permis.'
),
(
    'quality_rule_not_found', 404,
    'There is no such quality rule.',
    'Cette règle de qualité n''existe pas.'
),
(
    'quantity_above_maximum', 400,
    'More than the largest quantity sold of this product at once.',
    'Plus que la plus grande quantité vendue de ce produit en une fois.'
),
(
    'quantity_below_minimum', 400,
    'Less than the smallest quantity sold of this product.',
    'Moins que la plus petite quantité vendue de ce produit.'
),
(
    'quantity_invalid', 400,
    'A quantity is a whole number from 1 to 10000.',
    'Une quantité est un nombre entier de 1 à 10000.'
),
(
    'quantity_not_in_steps', 400,
    'This product is sold in fixed steps of quantity.',
    'Ce produit se vend par paliers de quantité.'
),
(
    'rate_limit_exceeded', 429,
    'Too many attempts. Wait a little and try again.',
    'Trop de tentatives. Patientez un peu puis réessayez.'
),
(
    'reason_invalid', 400,
    'A reason is one line of at most 300 characters.',
    'Un motif tient sur une ligne de 300 caractères au plus.'
),
(
    'record_immutable', 409,
    'What is recorded here cannot be changed.',
    'Ce qui est inscrit ici ne peut pas être modifié.'
),
(
    'reference_unknown', 400,
    'Something that the request refers to does not exist.',
    'La requête désigne quelque chose qui n''existe pas.'
),
(
    'refund_amount_invalid', 400,
    'The amount of a refund is positive and exact in its currency, and is not sent beside items.',
    'Le montant d''un remboursement est positif, exact dans sa monnaie, et sans articles.'
),
(
    'refund_amount_too_large', 409,
    'More than what is left of the payment cannot be refunded.',
    'On ne peut pas rembourser plus que ce qui reste du paiement.'
),
(
    'refund_items_invalid', 400,
    'Name lines of the order, each once, and no more of each than is left to refund.',
    'Indiquez chaque ligne une seule fois, sans dépasser ce qui reste à rembourser.'
),
(
    'refund_not_found', 404,
    'There is no such refund.',
    'Ce remboursement n''existe pas.'
),
(
    'refund_transition_refused', 409,
    'The refund cannot move to this state.',
    'Le remboursement ne peut pas passer à cet état.'
),
(
    'review_invalid', 400,
    'A review has 1 to 5 stars, a title of one line and a text of at most 4000 characters.',
    'Un avis a de 1 à 5 étoiles, un titre d''une ligne et un texte de 4000 caractères au plus.'
),
(
    'review_changed', 409,
    'The review is not the one that was read. Read it again.',
    'L''avis n''est plus celui qui a été lu. Relisez-le.'
),
(
    'review_not_delivered', 409,
    'You can review this once it has been delivered.',
    'Vous pourrez donner votre avis une fois l''article livré.'
),
(
    'review_not_found', 404,
    'There is no such review.',
    'Cet avis n''existe pas.'
),
(
    'saved_method_not_found', 404,
    'There is no such saved payment method of yours.',
    'Vous n''avez pas de tel moyen de paiement enregistré.'
),
(
    'service_unavailable', 503,
    'A service that we need does not answer. Please try again in a moment.',
    'Un service dont nous avons besoin ne répond pas. Réessayez dans un instant.'
),
(
    'shipping_unavailable', 409,
    'There is no delivery to this country just now.',
    'Il n''y a pas de livraison vers ce pays en ce moment.'
),
(
    'sort_unknown', 400,
    'There is no such sort order.',
    'Cet ordre de tri n''existe pas.'
),
(
    'statement_column_invalid', 400,
    'The first line must name every column, each once.',
    'La première ligne doit nommer chaque colonne, une seule fois.'
),
(
    'statement_invalid', 400,
    'The statement cannot be read. The errors name the line and the column.',
    'Le relevé ne peut pas être lu. Les erreurs indiquent la ligne et la colonne.'
),
(
    'statement_line_uneven', 400,
    'The line has not as many cells as the first line.',
    'La ligne n''a pas autant de cases que la première ligne.'
),
(
    'statement_quote_invalid', 400,
    'A quotation mark stands alone or is never closed.',
    'Un guillemet est isolé ou n''est jamais fermé.'
),
(
    'statement_type_unsupported', 415,
    'Send the statement as text/csv.',
    'Envoyez le relevé en text/csv.'
),
(
    'still_referenced', 409,
    'This is still in use.',
    'Ceci est encore utilisé.'
),
(
    'stock_insufficient', 409,
    'There is not enough of this product in stock.',
    'Il n''y a pas assez de ce produit en stock.'
),
(
    'supplier_category_not_found', 404,
    'There is no such category of the supplier.',
    'Cette catégorie du fournisseur n''existe pas.'
),
(
    'supplier_consent_invalid', 400,
    'This consent is not the one that was asked for. Open the supplier''s page again.',
    'Ce consentement n''est pas celui demandé. Ouvrez à nouveau la page du fournisseur.'
),
(
    'sync_run_not_found', 404,
    'There is no such sync.',
    'Cette synchronisation n''existe pas.'
),
(
    'sync_run_not_waiting', 409,
    'This sync does not wait for a decision.',
    'Cette synchronisation n''attend pas de décision.'
),
(
    'sync_transition_refused', 409,
    'The sync cannot move to this state.',
    'La synchronisation ne peut pas passer à cet état.'
),
(
    'text_not_one_line', 400,
    'The text must be one line without control characters.',
    'Le texte doit tenir sur une ligne, sans caractères de contrôle.'
),
(
    'token_expired', 401,
    'Your session has ended. Sign in again.',
    'Votre session est terminée. Reconnectez-vous.'
),
(
    'token_invalid', 401,
    'The access token is not valid.',
    'Le jeton d''accès n''est pas valide.'
),
(
    'total_changed', 409,
    'The total has changed since you last saw it. The details hold the new quote.',
    'Le total a changé depuis votre dernier regard. Le détail contient le nouveau devis.'
),
(
    'value_malformed', 400,
    'A value has the wrong form or is out of range.',
    'Une valeur a une forme incorrecte ou est hors limites.'
),
(
    'value_missing', 400,
    'A required value is missing.',
    'Une valeur obligatoire manque.'
),
(
    'value_not_allowed', 400,
    'A value breaks a rule of the shop.',
    'Une valeur enfreint une règle de la boutique.'
),
(
    'value_out_of_range', 400,
    'The value is too small, too large, too short or too long.',
    'La valeur est trop petite, trop grande, trop courte ou trop longue.'
),
(
    'variant_not_found', 404,
    'This product does not come in this variant.',
    'Ce produit n''existe pas dans cette variante.'
),
(
    'variant_required', 400,
    'This product comes in variants of different prices: choose one.',
    'Ce produit existe en variantes de prix différents : choisissez-en une.'
),
(
    'verification_code_invalid', 400,
    'The code is wrong or has expired. Ask for a new one.',
    'Le code est faux ou a expiré. Demandez-en un nouveau.'
),
(
    'weak_password', 400,
    'This password is too weak. Take a longer one.',
    'Ce mot de passe est trop faible. Choisissez-en un plus long.'
),
(
    'webhook_not_verifiable', 503,
    'The notification cannot be checked just now. Please send it again.',
    'La notification ne peut pas être vérifiée pour l''instant. Veuillez la renvoyer.'
),
(
    'webhook_signature_invalid', 401,
    'The notification is not signed as it should be.',
    'La notification n''est pas signée comme il le faut.'
),
(
    'wishlist_full', 409,
    'A wishlist holds at most 200 products: take one off first.',
    'Une liste de souhaits contient au plus 200 produits : retirez-en un d''abord.'
)
on conflict (code) do update
set status = excluded.status,
    message_en = excluded.message_en,
    message_fr = excluded.message_fr;

insert into private.jobs (job, queue, max_attempts)
values
('announce_stock', 'mail', 8),
('archive', 'maintenance', 3),
('check_invariants', 'maintenance', 3),
('check_refund', 'payments', 8),
('copy_pictures', 'supply', 8),
('count_catalogue', 'maintenance', 3),
('count_search', 'maintenance', 3),
('embed_search', 'maintenance', 3),
('handle_webhook', 'payments', 12),
('reconcile_payments', 'payments', 8),
('refresh_rates', 'maintenance', 5),
('refresh_search', 'maintenance', 8),
('refresh_supplier_tokens', 'maintenance', 5),
('release_holds', 'maintenance', 3),
('reprice_products', 'maintenance', 8),
('send_email', 'mail', 12),
('send_refund', 'payments', 8),
('sync_products', 'supply', 12)
on conflict (job) do update
set queue = excluded.queue, max_attempts = excluded.max_attempts;

insert into private.schedules (job, every)
values
('archive', interval '7 days'),
('check_invariants', interval '1 day'),
('copy_pictures', interval '15 minutes'),
('count_catalogue', interval '5 minutes'),
('count_search', interval '1 day'),
('embed_search', interval '10 minutes'),
('reconcile_payments', interval '15 minutes'),
('refresh_rates', interval '6 hours'),
('refresh_search', interval '5 minutes'),
('refresh_supplier_tokens', interval '1 hour'),
('release_holds', interval '1 minute'),
('reprice_products', interval '5 minutes'),
('sync_products', interval '1 hour')
on conflict (job) do update
set every = excluded.every;

-- …_address: by IP address, which many shoppers of one mobile carrier share; the rest by account.
insert into private.rate_limit_rules (action, capacity, refill)
values
('login', 10, interval '5 minutes'),
('login_address', 100, interval '5 minutes'),
('password_reset', 5, interval '15 minutes'),
('password_reset_address', 30, interval '15 minutes'),
('payment_initialize', 20, interval '5 minutes'),
('promo_check', 20, interval '10 minutes'),
('record_search', 60, interval '1 minute'),
('register', 30, interval '1 hour'),
('review', 30, interval '1 hour'),
('verify', 10, interval '15 minutes'),
('verify_address', 60, interval '15 minutes'),
('webhook_unverified', 60, interval '1 minute')
on conflict (action) do update
set capacity = excluded.capacity, refill = excluded.refill;
