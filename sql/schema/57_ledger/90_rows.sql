insert into private.ledger_accounts (code, kind, name, name_fr)
values
('bank', 'asset', 'Bank', 'Banque'),
('commission_expense', 'expense', 'Affiliates'' commissions', 'Commissions des affiliés'),
('commissions_payable', 'liability', 'Commissions owed', 'Commissions à payer'),
('discounts', 'income', 'Discounts given (debit)', 'Remises accordées (débit)'),
('duty_payable', 'liability', 'Duty collected', 'Droits de douane collectés'),
('exchange_clearing', 'asset', 'Currency exchange in transit', 'Change en transit'),
('exchange_differences', 'expense', 'Exchange differences', 'Écarts de change'),
('gateway_fees', 'expense', 'Fees of payment gateways', 'Frais des prestataires de paiement'),
('gateway_receivable', 'asset', 'Money held by gateways', 'Fonds chez les prestataires'),
('payment_differences', 'expense', 'Payment differences accepted', 'Écarts de paiement acceptés'),
('payout_clearing', 'asset', 'Payouts in transit', 'Versements en transit'),
('refunds', 'income', 'Refunds of sales (debit)', 'Remboursements de ventes (débit)'),
('sales', 'income', 'Sales of goods', 'Ventes de marchandises'),
('shipping_income', 'income', 'Shipping charged', 'Livraison facturée'),
('unallocated_receipts', 'liability', 'Money that bought nothing', 'Encaissements non affectés'),
('vat_payable', 'liability', 'Value-added tax', 'Taxe sur la valeur ajoutée')
on conflict (code) do update
set kind = excluded.kind, name = excluded.name, name_fr = excluded.name_fr;
