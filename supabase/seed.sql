-- Demo data: a shop worth looking at. Tests never rely on it, the schema never needs it.
--
--   psql "$DATABASE_MIGRATION_URL" --single-transaction -v ON_ERROR_STOP=1 \
--        -v demo_password=… -v demo_admin_email=… -v demo_shopper_email=… \
--        -v demo_affiliate_email=… -f supabase/seed.sql
--
-- Runs as role postgres, here and on hosted Supabase; again and again without doubling anything.
-- Without the variables there are no demo logins, the catalogue comes all the same. The pictures
-- that product_media names are drawn and uploaded by scripts/local/seed_media.py.

create or replace function pg_temp.seed_id(path text)
returns uuid
language sql
immutable
as $$
    select extensions.uuid_generate_v5(extensions.uuid_ns_url(), 'mallgram/seed/' || path)
$$;

create temporary table seed_category (
    position integer primary key, parent text, slug text, name text, name_fr text
) on commit drop;

insert into seed_category (position, parent, slug, name, name_fr)
values
(10, null, 'fashion', 'Fashion', 'Mode'),
(11, 'fashion', 'women', 'Women''s clothing', 'Vêtements femme'),
(12, 'fashion', 'men', 'Men''s clothing', 'Vêtements homme'),
(13, 'fashion', 'shoes', 'Shoes', 'Chaussures'),
(14, 'fashion', 'wax-fabrics', 'Wax and fabrics', 'Pagnes et tissus'),
(20, null, 'electronics', 'Electronics', 'Électronique'),
(21, 'electronics', 'phones', 'Phones and tablets', 'Téléphones et tablettes'),
(22, 'electronics', 'audio', 'Audio', 'Son'),
(23, 'electronics', 'phone-accessories', 'Phone accessories', 'Accessoires de téléphone'),
(24, 'electronics', 'computing', 'Computing', 'Informatique'),
(30, null, 'home', 'Home and kitchen', 'Maison et cuisine'),
(31, 'home', 'cookware', 'Cookware', 'Batterie de cuisine'),
(32, 'home', 'decoration', 'Decoration', 'Décoration'),
(33, 'home', 'bedding', 'Bedding', 'Linge de lit'),
(34, 'home', 'appliances', 'Small appliances', 'Petit électroménager'),
(40, null, 'energy', 'Solar and energy', 'Solaire et énergie'),
(41, 'energy', 'solar-lamps', 'Solar lamps', 'Lampes solaires'),
(42, 'energy', 'solar-panels', 'Solar panels', 'Panneaux solaires'),
(43, 'energy', 'power-banks', 'Power banks', 'Batteries externes'),
(44, 'energy', 'inverters', 'Inverters and batteries', 'Onduleurs et batteries'),
(50, null, 'beauty', 'Beauty and care', 'Beauté et soins'),
(51, 'beauty', 'hair', 'Hair', 'Cheveux'),
(52, 'beauty', 'skin-care', 'Skin care', 'Soins de la peau'),
(53, 'beauty', 'perfume', 'Perfume', 'Parfums'),
(54, 'beauty', 'make-up', 'Make-up', 'Maquillage'),
(60, null, 'family', 'Baby and family', 'Bébé et famille'),
(61, 'family', 'baby-care', 'Baby care', 'Puériculture'),
(62, 'family', 'toys', 'Toys', 'Jouets'),
(63, 'family', 'school', 'School supplies', 'Fournitures scolaires'),
(64, 'family', 'kids-clothing', 'Children''s clothing', 'Vêtements enfant'),
(70, null, 'food', 'Food and drink', 'Épicerie'),
(71, 'food', 'tea-coffee', 'Tea and coffee', 'Thé et café'),
(72, 'food', 'spices', 'Spices', 'Épices'),
(73, 'food', 'snacks', 'Snacks', 'En-cas'),
(74, 'food', 'oils', 'Oils and butters', 'Huiles et beurres'),
(80, null, 'outdoor', 'Tools and outdoor', 'Outils et plein air'),
(81, 'outdoor', 'tools', 'Hand tools', 'Outillage'),
(82, 'outdoor', 'farming', 'Farming', 'Agriculture'),
(83, 'outdoor', 'motorbike', 'Car and motorbike', 'Auto et moto'),
(84, 'outdoor', 'sport', 'Sport', 'Sport');

insert into public.categories (id, parent_id, slug, name, name_fr, position)
select
    pg_temp.seed_id('category/' || c.slug),
    case when c.parent is not null then pg_temp.seed_id('category/' || c.parent) end,
    c.slug,
    c.name,
    c.name_fr,
    c.position
from seed_category as c
order by c.position
on conflict do nothing;

-- What AliExpress' categories are here, by the nearest that somebody has decided about: the roots,
-- and leaves that belong elsewhere. Alibaba, which shows no tree, is asked for the names of leaves.
insert into private.supplier_categories (platform, external_id, status, category_id)
select p.platform, m.external_id, 'mapped', c.id
from (
    values
    ('15', 'decoration'), ('100006665', 'bedding'), ('200215252', 'cookware'),
    ('44', 'audio'), ('200005280', 'phone-accessories'), ('200218548', 'power-banks'),
    ('509', 'phone-accessories'), ('3', 'women'), ('322001', 'shoes'),
    ('200000343', 'men'), ('322002', 'shoes'), ('66', 'skin-care'), ('200001168', 'hair'),
    ('200002496', 'hair'), ('200001147', 'make-up'), ('18', 'sport'), ('34', 'motorbike'),
    ('26', 'toys'), ('200000500', 'baby-care'), ('200001400', 'school'), ('13', 'tools'),
    ('200342142', 'solar-panels')
) as m (external_id, slug)
inner join public.categories as c on m.slug = c.slug
cross join (values ('aliexpress'), ('alibaba')) as p (platform)
on conflict do nothing;

insert into private.sync_keywords (platform, keyword)
select 'alibaba', k.keyword
from unnest(array['Bedding', 'Hand Tools', 'Power Banks', 'School Supplies', 'Solar Energy']) as k (
    keyword
)
on conflict do nothing;

insert into public.suppliers (id, platform, external_id, name, seller_rating)
values
(pg_temp.seed_id('supplier/1'), 'aliexpress', 'demo-1', 'Guangzhou Sunny Textile', 4.70),
(pg_temp.seed_id('supplier/2'), 'aliexpress', 'demo-2', 'Shenzhen Bright Electronics', 4.60),
(pg_temp.seed_id('supplier/3'), 'aliexpress', 'demo-3', 'Yiwu Home Goods', 4.50),
(pg_temp.seed_id('supplier/4'), 'alibaba', 'demo-4', 'Ningbo Solar Works', 4.80),
(pg_temp.seed_id('supplier/5'), 'alibaba', 'demo-5', 'Foshan Kitchen Factory', 4.60),
(pg_temp.seed_id('supplier/6'), 'alibaba', 'demo-6', 'Wuxi Tool Company', 4.40)
on conflict do nothing;

insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
values
('USD', 'CNY', 7.12000000, '2026-11-01 00:00:00+00', 'seed'),
('USD', 'EUR', 0.92155492, '2026-11-01 00:00:00+00', 'seed'),
('USD', 'XAF', 604.50040066, '2026-11-01 00:00:00+00', 'seed'),
('USD', 'ZAR', 18.20000000, '2026-11-01 00:00:00+00', 'seed')
on conflict do nothing;

-- Prices are made with these until a source of rates was asked.
select private.adopt_exchange_rates();

-- Every listing of both kinds passes through here; min_quantity tells wholesale from retail.
create temporary table seed_listing (
    slug text primary key,
    category text not null,
    name text not null,
    name_fr text not null,
    description text not null,
    description_fr text not null,
    usd numeric(12, 2) not null,
    zar numeric(12, 2) not null,
    xaf numeric(12, 2) not null,
    stock integer not null,
    rating numeric(3, 2) not null,
    reviews integer not null,
    weight_grams integer not null,
    min_quantity integer,
    image text not null default '',
    created_at timestamptz not null default '2026-11-15 08:00:00+00'
) on commit drop;

-- Sixty by hand: 45 by the piece …
insert into seed_listing (
    slug, category, name, name_fr, description, description_fr, usd, zar, xaf, stock, rating,
    reviews, weight_grams
)
values
(
    'wax-soleil', 'wax-fabrics',
    'Wax fabric "African Sun", 6 yards', 'Pagne wax « Soleil d’Afrique », 6 yards',
    'Pure cotton, double-sided print with fast colours. Enough for a dress and a head wrap.',
    'Pur coton, imprimé double face, couleurs solides. De quoi coudre une robe et un foulard.',
    20.50, 379.90, 12500, 140, 4.80, 231, 900
),
(
    'bazin-indigo', 'wax-fabrics',
    'Rich bazin, indigo, 5 metres', 'Bazin riche indigo, 5 mètres',
    'Waxed damask with a deep shine for boubous and ceremonies.',
    'Damas lustré d’un bel éclat, pour boubous et cérémonies.',
    32.00, 589.90, 19500, 60, 4.70, 88, 1100
),
(
    'kente-scarf', 'wax-fabrics',
    'Hand-woven kente scarf', 'Écharpe kente tissée main',
    'Narrow strips woven by hand, sewn edge to edge. Every piece differs a little.',
    'Bandes étroites tissées à la main et cousues bord à bord. Chaque pièce est un peu différente.',
    16.00, 299.90, 9750, 45, 4.90, 64, 220
),
(
    'ankara-dress', 'women',
    'Ankara wrap dress with pockets', 'Robe portefeuille ankara à poches',
    'Cotton print, knee length, ties at the waist. Sizes 36 to 48.',
    'Coton imprimé, longueur genou, se noue à la taille. Tailles 36 à 48.',
    27.00, 499.90, 16500, 75, 4.60, 152, 420
),
(
    'chiffon-blouse', 'women',
    'Chiffon blouse with bell sleeves', 'Blouse en mousseline à manches évasées',
    'Light and lined, for the office and after.',
    'Légère et doublée, pour le bureau et après.',
    14.50, 269.90, 8900, 110, 4.30, 97, 180
),
(
    'oxford-shirt', 'men',
    'Oxford shirt, slim cut', 'Chemise oxford, coupe ajustée',
    'Easy-iron cotton that keeps its collar. White, sky blue or sand.',
    'Coton facile à repasser, col qui se tient. Blanc, bleu ciel ou sable.',
    18.00, 329.90, 10950, 130, 4.50, 174, 300
),
(
    'linen-trousers', 'men',
    'Linen-cotton trousers', 'Pantalon en lin et coton',
    'Airy cloth for hot days, with a drawstring inside the waistband.',
    'Toile aérée pour les jours chauds, cordon à l’intérieur de la ceinture.',
    24.00, 439.90, 14500, 90, 4.40, 83, 400
),
(
    'leather-sandals', 'shoes',
    'Leather sandals, Maasai beads', 'Sandales en cuir, perles maasaï',
    'Cowhide sole and straps, sewn and glued. Beadwork by hand.',
    'Semelle et lanières en cuir de vache, cousues et collées. Perles posées à la main.',
    19.90, 369.90, 11950, 58, 4.70, 119, 520
),
(
    'running-shoes', 'shoes',
    'Mesh running shoes', 'Chaussures de course en maille',
    'Breathing mesh, cushioned sole with a good grip on dust and tar.',
    'Maille respirante, semelle amortie qui accroche sur la terre comme sur le goudron.',
    29.90, 549.90, 17950, 84, 4.40, 205, 620
),
(
    'phone-a15', 'phones',
    'Smartphone 6.6", 128 GB, dual SIM', 'Smartphone 6,6 pouces, 128 Go, double SIM',
    'Two days of battery, 50-megapixel camera, 4G on all African bands.',
    'Deux jours d’autonomie, photo 50 mégapixels, 4G sur toutes les bandes africaines.',
    118.00, 2199.90, 72500, 36, 4.50, 312, 390
),
(
    'phone-feature', 'phones',
    'Feature phone with torch, 1,000 h standby',
    'Téléphone à touches avec torche, 1 000 h de veille',
    'FM radio, two SIM cards, keys that can be found in the dark.',
    'Radio FM, deux cartes SIM, des touches que l’on trouve dans le noir.',
    14.90, 279.90, 9100, 220, 4.60, 441, 160
),
(
    'tablet-10', 'phones',
    'Tablet 10.1", 64 GB with keyboard', 'Tablette 10,1 pouces, 64 Go avec clavier',
    'For lessons and films: metal back, LTE, keyboard cover in the box.',
    'Pour les cours et les films : dos en métal, LTE, étui-clavier fourni.',
    139.00, 2599.90, 84900, 22, 4.20, 76, 980
),
(
    'earbuds-pro', 'audio',
    'Wireless earbuds with charging case', 'Écouteurs sans fil avec boîtier de charge',
    'Bluetooth 5.3, thirty hours with the case, splash-proof.',
    'Bluetooth 5.3, trente heures avec le boîtier, résistent aux éclaboussures.',
    17.50, 319.90, 10600, 160, 4.40, 388, 90
),
(
    'party-speaker', 'audio',
    'Party speaker with microphone, 40 W', 'Enceinte de fête avec micro, 40 W',
    'Loud enough for the yard, light show, eight hours on one charge.',
    'De quoi animer la cour, jeux de lumière, huit heures par charge.',
    48.00, 889.90, 29500, 41, 4.50, 133, 3900
),
(
    'radio-solar', 'audio',
    'Solar and crank radio', 'Radio solaire à manivelle',
    'FM, AM and short wave, with a torch and a USB socket for the phone.',
    'FM, AM et ondes courtes, avec torche et prise USB pour le téléphone.',
    21.00, 389.90, 12900, 95, 4.70, 167, 450
),
(
    'phone-case', 'phone-accessories',
    'Shock-proof phone case', 'Coque de téléphone antichoc',
    'Raised corners and a matt back. Choose your model after ordering.',
    'Coins renforcés et dos mat. Modèle à préciser après la commande.',
    5.20, 99.90, 3200, 400, 4.20, 520, 60
),
(
    'fast-charger', 'phone-accessories',
    'Fast charger 33 W with cable', 'Chargeur rapide 33 W avec câble',
    'Charges half a phone in twenty minutes, protected against surges.',
    'La moitié d’une charge en vingt minutes, protégé contre les surtensions.',
    9.80, 179.90, 5950, 310, 4.60, 402, 140
),
(
    'laptop-sleeve', 'computing',
    'Laptop sleeve in wax print, 15"', 'Housse d’ordinateur en wax, 15 pouces',
    'Padded, zipped and sewn in Douala.',
    'Rembourrée, zippée et cousue à Douala.',
    13.00, 239.90, 7900, 66, 4.80, 58, 260
),
(
    'usb-drive', 'computing',
    'USB stick 64 GB, metal', 'Clé USB 64 Go en métal',
    'Small, waterproof, fits the key ring.',
    'Petite, étanche, se porte au trousseau.',
    7.40, 139.90, 4500, 350, 4.50, 286, 20
),
(
    'wifi-router', 'computing',
    '4G router for 32 devices', 'Routeur 4G pour 32 appareils',
    'Takes any SIM card, carries on for four hours when the power is cut.',
    'Accepte toute carte SIM et tient quatre heures en cas de coupure.',
    39.90, 739.90, 24500, 54, 4.30, 141, 410
),
(
    'potjie-pot', 'cookware',
    'Cast-iron potjie pot, size 2', 'Marmite potjie en fonte, taille 2',
    'Three legs, six litres, made for the open fire. Lasts for generations.',
    'Trois pieds, six litres, faite pour le feu de bois. Se transmet de génération en génération.',
    41.00, 759.90, 24900, 38, 4.90, 193, 8200
),
(
    'pressure-cooker', 'cookware',
    'Pressure cooker, 7 litres', 'Autocuiseur 7 litres',
    'Beans in thirty minutes and a third of the gas. Aluminium, two safety valves.',
    'Les haricots en trente minutes, trois fois moins de gaz. Aluminium, deux soupapes.',
    33.50, 619.90, 20500, 70, 4.60, 148, 2900
),
(
    'fufu-pot', 'cookware',
    'Aluminium cooking pots, set of 5', 'Marmites en aluminium, lot de 5',
    'From two to ten litres, thick bottoms, lids included.',
    'De deux à dix litres, fonds épais, couvercles compris.',
    29.00, 539.90, 17500, 52, 4.50, 102, 4100
),
(
    'basket-bolga', 'decoration',
    'Bolga market basket', 'Panier de marché Bolga',
    'Woven from elephant grass, leather handle, holds ten kilos.',
    'Tressé en herbe à éléphant, anse en cuir, porte dix kilos.',
    22.00, 399.90, 13500, 48, 4.90, 121, 700
),
(
    'wall-mask', 'decoration',
    'Carved wall mask, 30 cm', 'Masque mural sculpté, 30 cm',
    'Carved from one piece of wood in the Grassfields, rubbed with oil.',
    'Taillé d’une pièce dans les Grassfields, poli à l’huile.',
    26.50, 489.90, 15900, 19, 4.60, 37, 850
),
(
    'mosquito-net', 'bedding',
    'Treated mosquito net, double bed', 'Moustiquaire imprégnée, lit double',
    'Fine mesh, long-lasting insecticide, four hooks. WHO-listed type.',
    'Maille fine, insecticide longue durée, quatre crochets. Type homologué par l’OMS.',
    11.50, 209.90, 6950, 260, 4.80, 334, 600
),
(
    'sheet-set', 'bedding',
    'Cotton sheet set, king size', 'Parure de draps en coton, grand lit',
    'Two sheets, four pillowcases, shweshwe-inspired border.',
    'Deux draps, quatre taies, bordure inspirée du shweshwe.',
    31.00, 569.90, 18900, 64, 4.50, 110, 1500
),
(
    'blender-2l', 'appliances',
    'Blender 2 litres, 800 W', 'Mixeur 2 litres, 800 W',
    'Crushes ice, groundnuts and pepper. Glass jug, spare seal in the box.',
    'Broie glace, arachides et piment. Bol en verre, joint de rechange fourni.',
    36.00, 659.90, 21900, 57, 4.40, 188, 3300
),
(
    'rechargeable-fan', 'appliances',
    'Rechargeable fan, 16"', 'Ventilateur rechargeable 40 cm',
    'Ten hours on battery, remote control, night light.',
    'Dix heures sur batterie, télécommande, veilleuse.',
    52.00, 959.90, 31500, 44, 4.60, 226, 4600
),
(
    'solar-lantern', 'solar-lamps',
    'Folding solar lantern with USB', 'Lampe solaire pliable avec port USB',
    'Twelve hours of light from a day of sun; charges a phone when it must.',
    'Douze heures de lumière pour une journée de soleil ; recharge un téléphone au besoin.',
    14.70, 269.90, 8950, 180, 4.80, 407, 320
),
(
    'solar-floodlight', 'solar-lamps',
    'Solar floodlight with motion sensor', 'Projecteur solaire à détecteur de mouvement',
    'Lights the yard when somebody comes, saves itself when nobody does.',
    'Éclaire la cour quand on arrive, s’économise quand il n’y a personne.',
    24.90, 459.90, 14950, 98, 4.50, 173, 1300
),
(
    'solar-panel-100', 'solar-panels',
    'Solar panel 100 W, monocrystalline', 'Panneau solaire 100 W monocristallin',
    'With brackets and five metres of cable. Twenty-five years of output guaranteed.',
    'Avec supports et cinq mètres de câble. Rendement garanti vingt-cinq ans.',
    68.00, 1259.90, 41500, 33, 4.70, 92, 7400
),
(
    'power-bank-20', 'power-banks',
    'Power bank 20,000 mAh with display', 'Batterie externe 20 000 mAh à écran',
    'Five phone charges, two outputs, allowed in hand luggage.',
    'Cinq charges de téléphone, deux sorties, admise en cabine.',
    19.00, 349.90, 11500, 145, 4.50, 365, 430
),
(
    'inverter-1kw', 'inverters',
    'Home inverter 1 kW with battery', 'Onduleur domestique 1 kW avec batterie',
    'Keeps lights, TV and router going for five hours of load shedding.',
    'Lumières, télé et box tiennent cinq heures de délestage.',
    245.00, 4499.90, 149000, 14, 4.60, 71, 18500
),
(
    'shea-butter', 'skin-care',
    'Raw shea butter, 500 g', 'Beurre de karité brut, 500 g',
    'Unrefined, from a women''s cooperative in the north of Cameroon.',
    'Non raffiné, d’une coopérative de femmes du nord du Cameroun.',
    8.20, 149.90, 4950, 190, 4.90, 276, 540
),
(
    'black-soap', 'skin-care',
    'African black soap, 3 bars', 'Savon noir africain, 3 pains',
    'Palm, cocoa pod ash and nothing else. Cleans without drying.',
    'Palme, cendre de cabosse et rien d’autre. Nettoie sans dessécher.',
    6.90, 129.90, 4200, 240, 4.70, 198, 450
),
(
    'braiding-hair', 'hair',
    'Braiding hair, pre-stretched, 6 packs', 'Mèches à tresser pré-étirées, 6 paquets',
    'Soft fibre that takes hot water; enough for a full head of box braids.',
    'Fibre douce qui supporte l’eau chaude ; de quoi faire une tête de box braids.',
    12.60, 229.90, 7650, 170, 4.60, 319, 620
),
(
    'argan-oil', 'hair',
    'Hair oil with argan and castor', 'Huile capillaire argan et ricin',
    'Feeds dry ends and edges, with a dropper.',
    'Nourrit pointes et bordures, avec pipette.',
    7.90, 149.90, 4800, 205, 4.40, 154, 150
),
(
    'oud-perfume', 'perfume',
    'Oud eau de parfum, 50 ml', 'Eau de parfum oud, 50 ml',
    'Warm wood, amber and a little rose. Stays until evening.',
    'Bois chaud, ambre et une touche de rose. Tient jusqu’au soir.',
    25.50, 469.90, 15500, 61, 4.50, 87, 210
),
(
    'lipstick-set', 'make-up',
    'Matt lipsticks for dark skin, set of 4', 'Rouges à lèvres mats peaux foncées, lot de 4',
    'Plum, brick, cocoa and true red; do not come off on the glass.',
    'Prune, brique, cacao et vrai rouge ; ne marquent pas le verre.',
    11.90, 219.90, 7200, 125, 4.60, 143, 120
),
(
    'baby-carrier', 'baby-care',
    'Baby carrier in cotton wax', 'Porte-bébé en coton wax',
    'From four to fifteen kilos, front or back, washable.',
    'De quatre à quinze kilos, devant ou dos, lavable.',
    28.50, 529.90, 17200, 43, 4.80, 96, 560
),
(
    'building-bricks', 'toys',
    'Building bricks, 500 pieces', 'Briques de construction, 500 pièces',
    'Fits the well-known brand, with wheels and windows.',
    'Compatibles avec la grande marque, avec roues et fenêtres.',
    15.90, 289.90, 9600, 88, 4.70, 209, 980
),
(
    'rooibos-100', 'tea-coffee',
    'Rooibos tea, 100 bags', 'Thé rooibos, 100 sachets',
    'From the Cederberg, naturally without caffeine.',
    'Du Cederberg, naturellement sans théine.',
    4.90, 89.90, 2950, 330, 4.80, 251, 280
),
(
    'penja-pepper', 'spices',
    'White Penja pepper, 100 g', 'Poivre blanc de Penja, 100 g',
    'The pepper of volcanic soil, protected origin, whole grains.',
    'Le poivre des sols volcaniques, origine protégée, en grains.',
    9.20, 169.90, 5500, 115, 4.90, 134, 120
),
(
    'machete-set', 'farming',
    'Farming set: machete, hoe and gloves', 'Lot agricole : machette, houe et gants',
    'Tempered steel, ash handles, ready to be sharpened.',
    'Acier trempé, manches en frêne, prêts à l’affûtage.',
    23.00, 429.90, 13900, 77, 4.50, 68, 2700
);

-- … and 15 by the carton.
insert into seed_listing (
    slug, category, name, name_fr, description, description_fr, usd, zar, xaf, stock, rating,
    reviews, weight_grams, min_quantity
)
values
(
    'bulk-wax', 'wax-fabrics',
    'Wax fabric assortment, bale', 'Assortiment de pagnes wax, balle',
    'Mixed prints of the season, six yards each, sold from ten pieces.',
    'Imprimés variés de la saison, six yards chacun, vendus à partir de dix pièces.',
    11.80, 214.90, 7200, 2400, 4.60, 74, 900, 10
),
(
    'bulk-tshirts', 'men',
    'Plain T-shirts 180 g, mixed sizes', 'T-shirts unis 180 g, tailles assorties',
    'Combed cotton for printing, S to XXL.',
    'Coton peigné à imprimer, du S au XXL.',
    2.60, 47.90, 1600, 9000, 4.50, 158, 190, 50
),
(
    'bulk-sandals', 'shoes',
    'Rubber sandals, mixed sizes', 'Sandales en caoutchouc, tailles assorties',
    'Moulded in one piece, six colours.',
    'Moulées d’une pièce, six couleurs.',
    1.45, 26.90, 900, 12000, 4.20, 95, 260, 60
),
(
    'bulk-feature-phone', 'phones',
    'Feature phones, carton', 'Téléphones à touches, carton',
    'Two SIM cards, torch, FM radio. Chargers included.',
    'Deux cartes SIM, torche, radio FM. Chargeurs compris.',
    9.20, 167.90, 5600, 3000, 4.40, 121, 160, 20
),
(
    'bulk-earphones', 'audio',
    'Wired earphones, box', 'Écouteurs filaires, boîte',
    'With microphone, 3.5 mm, packed one by one.',
    'Avec micro, 3,5 mm, emballés à l’unité.',
    0.95, 17.90, 600, 15000, 4.10, 203, 30, 100
),
(
    'bulk-chargers', 'phone-accessories',
    'USB-C chargers 20 W, carton', 'Chargeurs USB-C 20 W, carton',
    'Certified, surge-protected, two-pin or three-pin.',
    'Certifiés, protégés contre les surtensions, deux ou trois broches.',
    3.10, 56.90, 1900, 8000, 4.50, 187, 110, 50
),
(
    'bulk-pots', 'cookware',
    'Enamel pots with lid, mixed', 'Casseroles émaillées avec couvercle, assorties',
    'Three sizes, for gas and fire.',
    'Trois tailles, pour gaz et feu de bois.',
    4.80, 87.90, 2950, 2600, 4.30, 49, 1100, 24
),
(
    'bulk-nets', 'bedding',
    'Mosquito nets, bale', 'Moustiquaires, balle',
    'Treated, double size, for clinics and schools.',
    'Imprégnées, taille double, pour cliniques et écoles.',
    4.20, 76.90, 2550, 6000, 4.70, 66, 600, 40
),
(
    'bulk-solar-lamps', 'solar-lamps',
    'Solar study lamps, carton', 'Lampes solaires d’étude, carton',
    'Eight hours of reading light, two-year battery.',
    'Huit heures de lumière pour étudier, batterie garantie deux ans.',
    5.40, 98.90, 3300, 5000, 4.80, 143, 180, 30
),
(
    'bulk-panels', 'solar-panels',
    'Solar panels 450 W, pallet', 'Panneaux solaires 450 W, palette',
    'Half-cut cells, sold from ten panels.',
    'Demi-cellules, vendus à partir de dix panneaux.',
    96.00, 1749.90, 58500, 600, 4.60, 31, 21500, 10
),
(
    'bulk-hair', 'hair',
    'Braiding hair, carton of 1 colour', 'Mèches à tresser, carton d’une couleur',
    'Pre-stretched, 26 inches, for salons.',
    'Pré-étirées, 66 cm, pour salons.',
    1.25, 22.90, 800, 14000, 4.50, 172, 105, 60
),
(
    'bulk-shea', 'skin-care',
    'Shea butter in bulk, per kilo', 'Beurre de karité en vrac, au kilo',
    'Raw, filtered, in food-grade pails.',
    'Brut, filtré, en seaux alimentaires.',
    5.60, 102.90, 3400, 1800, 4.80, 58, 1000, 20
),
(
    'bulk-exercise-books', 'school',
    'Exercise books, 96 pages', 'Cahiers de 96 pages',
    'Seyès or lined, sewn, with a printed cover.',
    'Seyès ou lignés, cousus, couverture imprimée.',
    0.38, 6.90, 250, 20000, 4.40, 89, 150, 100
),
(
    'bulk-coffee', 'tea-coffee',
    'Green arabica from the west of Cameroon, per kilo',
    'Arabica vert de l’ouest Cameroun, au kilo',
    'Washed, screen 16 and up, this year''s crop.',
    'Lavé, crible 16 et plus, récolte de l’année.',
    6.10, 111.90, 3700, 2200, 4.70, 42, 1000, 30
),
(
    'bulk-machetes', 'tools',
    'Machetes 22", carton', 'Machettes 55 cm, carton',
    'Carbon steel, riveted handle.',
    'Acier au carbone, manche riveté.',
    2.90, 52.90, 1750, 4000, 4.30, 54, 620, 24
);

update seed_listing set image = slug;

-- Two thousand by the piece and five hundred by the carton, from words and numbers.
create temporary table seed_noun (
    number integer generated always as identity (start 0 minvalue 0),
    category text, name text, name_fr text, usd numeric(12, 2), weight_grams integer
) on commit drop;

insert into seed_noun (category, name, name_fr, usd, weight_grams)
values
('women', 'maxi dress', 'robe longue', 24, 450),
('women', 'pleated skirt', 'jupe plissée', 17, 300),
('women', 'head wrap', 'foulard de tête', 6, 120),
('men', 'polo shirt', 'polo', 13, 260),
('men', 'bomber jacket', 'blouson', 32, 800),
('men', 'leather belt', 'ceinture en cuir', 11, 220),
('shoes', 'pair of trainers', 'paire de baskets', 27, 750),
('shoes', 'pair of mules', 'paire de mules', 12, 380),
('shoes', 'pair of ankle boots', 'paire de bottines', 34, 950),
('wax-fabrics', 'wax fabric', 'pagne wax', 18, 900),
('wax-fabrics', 'lace fabric', 'tissu en dentelle', 35, 700),
('wax-fabrics', 'printed tablecloth', 'nappe imprimée', 15, 600),
('phones', '4G smartphone', 'smartphone 4G', 92, 380),
('phones', 'children''s tablet', 'tablette enfant', 64, 620),
('phones', 'smart watch', 'montre connectée', 26, 120),
('audio', 'Bluetooth speaker', 'enceinte Bluetooth', 19, 540),
('audio', 'wireless headset', 'casque sans fil', 23, 260),
('audio', 'karaoke microphone', 'micro karaoké', 16, 380),
('phone-accessories', 'phone stand', 'support de téléphone', 6, 150),
('phone-accessories', 'USB-C cable', 'câble USB-C', 4, 60),
('phone-accessories', 'tempered glass', 'verre trempé', 3, 40),
('computing', 'wireless mouse', 'souris sans fil', 9, 110),
('computing', 'laptop backpack', 'sac à dos pour ordinateur', 28, 900),
('computing', 'webcam', 'webcam', 22, 180),
('cookware', 'frying pan', 'poêle', 16, 1200),
('cookware', 'kitchen knife', 'couteau de cuisine', 9, 240),
('cookware', 'thermos flask', 'bouteille isotherme', 14, 480),
('decoration', 'wall clock', 'horloge murale', 17, 700),
('decoration', 'woven rug', 'tapis tissé', 39, 2600),
('decoration', 'photo frame', 'cadre photo', 8, 400),
('bedding', 'fleece blanket', 'couverture polaire', 19, 1300),
('bedding', 'memory pillow', 'oreiller à mémoire', 16, 950),
('bedding', 'duvet cover', 'housse de couette', 26, 1200),
('appliances', 'electric kettle', 'bouilloire électrique', 18, 1100),
('appliances', 'steam iron', 'fer à vapeur', 21, 1300),
('appliances', 'rice cooker', 'cuiseur à riz', 29, 2400),
('solar-lamps', 'solar garden lamp', 'lampe solaire de jardin', 11, 380),
('solar-lamps', 'solar bulb', 'ampoule solaire', 8, 240),
('solar-lamps', 'solar head torch', 'lampe frontale solaire', 10, 160),
('solar-panels', 'folding solar panel', 'panneau solaire pliable', 58, 2300),
('solar-panels', 'charge controller', 'régulateur de charge', 17, 320),
('solar-panels', 'solar home kit', 'kit solaire domestique', 89, 5200),
('power-banks', 'slim power bank', 'batterie externe plate', 15, 280),
('power-banks', 'solar power bank', 'batterie externe solaire', 22, 420),
('power-banks', 'car charger', 'chargeur de voiture', 7, 70),
('inverters', 'voltage stabiliser', 'stabilisateur de tension', 46, 4200),
('inverters', 'gel battery', 'batterie gel', 110, 16000),
('inverters', 'surge protector', 'parasurtenseur', 13, 420),
('hair', 'lace wig', 'perruque à dentelle', 62, 320),
('hair', 'hair dryer', 'sèche-cheveux', 24, 700),
('hair', 'satin bonnet', 'bonnet en satin', 5, 70),
('skin-care', 'body lotion', 'lait pour le corps', 8, 420),
('skin-care', 'face serum', 'sérum visage', 12, 110),
('skin-care', 'sun cream', 'crème solaire', 11, 160),
('perfume', 'eau de toilette', 'eau de toilette', 19, 220),
('perfume', 'room spray', 'parfum d’intérieur', 9, 300),
('perfume', 'deodorant', 'déodorant', 4, 140),
('make-up', 'foundation', 'fond de teint', 13, 110),
('make-up', 'eye palette', 'palette pour les yeux', 14, 180),
('make-up', 'brush kit', 'kit de pinceaux', 10, 160),
('baby-care', 'baby bottle', 'biberon', 6, 150),
('baby-care', 'changing bag', 'sac à langer', 27, 850),
('baby-care', 'baby bath', 'baignoire pour bébé', 18, 1400),
('toys', 'wooden puzzle', 'puzzle en bois', 8, 340),
('toys', 'remote-controlled car', 'voiture télécommandée', 25, 900),
('toys', 'doll', 'poupée', 14, 420),
('school', 'school bag', 'cartable', 19, 720),
('school', 'geometry kit', 'trousse de géométrie', 5, 180),
('school', 'scientific calculator', 'calculatrice scientifique', 12, 160),
('kids-clothing', 'tracksuit', 'survêtement', 16, 420),
('kids-clothing', 'school uniform', 'uniforme scolaire', 15, 480),
('kids-clothing', 'raincoat', 'imperméable', 12, 360),
('tea-coffee', 'ground coffee', 'café moulu', 7, 500),
('tea-coffee', 'green tea', 'thé vert', 5, 250),
('tea-coffee', 'hibiscus infusion', 'infusion d’hibiscus', 4, 250),
('spices', 'curry powder', 'poudre de curry', 3, 200),
('spices', 'ginger powder', 'poudre de gingembre', 3, 200),
('spices', 'dried chilli', 'piment séché', 4, 200),
('snacks', 'cashew mix', 'mélange de cajou', 8, 400),
('snacks', 'bag of plantain chips', 'sachet de chips de plantain', 3, 250),
('snacks', 'dark chocolate', 'chocolat noir', 5, 200),
('oils', 'red palm oil', 'huile de palme rouge', 6, 1000),
('oils', 'coconut oil', 'huile de coco', 8, 500),
('oils', 'groundnut butter', 'beurre d’arachide', 5, 500),
('tools', 'cordless drill', 'perceuse sans fil', 44, 1900),
('tools', 'socket kit', 'coffret de douilles', 31, 3200),
('tools', 'measuring tape', 'mètre ruban', 5, 220),
('farming', 'knapsack sprayer', 'pulvérisateur à dos', 36, 3800),
('farming', 'drip irrigation kit', 'kit d’irrigation goutte à goutte', 27, 2400),
('farming', 'watering can', 'arrosoir', 10, 800),
('motorbike', 'motorbike helmet', 'casque de moto', 29, 1400),
('motorbike', 'dashboard camera', 'caméra de bord', 33, 300),
('motorbike', 'tyre pump', 'pompe à pneus', 21, 1100),
('sport', 'football', 'ballon de football', 15, 430),
('sport', 'yoga mat', 'tapis de yoga', 17, 1200),
('sport', 'skipping rope', 'corde à sauter', 5, 200);

insert into seed_listing (
    slug, category, name, name_fr, description, description_fr, usd, zar, xaf, stock, rating,
    reviews, weight_grams, min_quantity, image, created_at
)
with word (kind, adjectives, adjectives_fr, variants, variants_fr) as (
    -- French adjectives that read the same for both genders.
    values
    (
        'goods',
        array[
            'classic', 'modern', 'handy', 'sturdy', 'durable', 'premium', 'budget', 'authentic',
            'stylish'
        ],
        array[
            'classique', 'moderne', 'pratique', 'robuste', 'durable', 'premium', 'économique',
            'authentique', 'chic'
        ],
        array['black', 'blue', 'red', 'green', 'orange', 'white', 'grey', 'yellow'],
        array['noir', 'bleu', 'rouge', 'vert', 'orange', 'blanc', 'gris', 'jaune']
    ),
    (
        'energy',
        array[
            'classic', 'modern', 'handy', 'sturdy', 'durable', 'premium', 'budget', 'reliable',
            'compact'
        ],
        array[
            'classique', 'moderne', 'pratique', 'robuste', 'durable', 'premium', 'économique',
            'fiable', 'mini'
        ],
        array['S10', 'S20', 'S30', 'S40', 'X10', 'X20', 'X30', 'X40'],
        array['S10', 'S20', 'S30', 'S40', 'X10', 'X20', 'X30', 'X40']
    ),
    (
        'care',
        array[
            'classic', 'organic', 'mild', 'fresh', 'intense', 'premium', 'budget', 'authentic',
            'vegan'
        ],
        array[
            'classique', 'bio', 'sensible', 'tonique', 'intense', 'premium', 'économique',
            'authentique', 'végane'
        ],
        array['50 ml', '75 ml', '100 ml', '125 ml', '150 ml', '200 ml', '250 ml', '300 ml'],
        array['50 ml', '75 ml', '100 ml', '125 ml', '150 ml', '200 ml', '250 ml', '300 ml']
    ),
    (
        'food',
        array[
            'classic', 'organic', 'authentic', 'rustic', 'rare', 'premium', 'budget', 'fair-trade',
            'vegan'
        ],
        array[
            'classique', 'bio', 'authentique', 'rustique', 'rare', 'premium', 'économique',
            'équitable', 'végane'
        ],
        array['250 g', '300 g', '350 g', '400 g', '450 g', '500 g', '550 g', '600 g'],
        array['250 g', '300 g', '350 g', '400 g', '450 g', '500 g', '550 g', '600 g']
    )
),

made as (
    select
        b.is_wholesale,
        g.n,
        o.category,
        o.name,
        o.name_fr,
        o.weight_grams,
        w.adjectives[1 + g.n / 96 % 9] as adjective,
        w.adjectives_fr[1 + g.n / 96 % 9] as adjective_fr,
        w.variants[1 + (g.n / 96 * 3 + g.n) % 8] as variant,
        w.variants_fr[1 + (g.n / 96 * 3 + g.n) % 8] as variant_fr,
        case when b.is_wholesale then (array[12, 24, 48])[1 + g.n % 3] end as min_quantity,
        round(
            o.usd * (0.80 + 0.05 * (g.n * 13 % 9)) * case when b.is_wholesale then 0.62 else 1 end,
            2
        ) as usd
    from (values (false, 2000), (true, 500)) as b (is_wholesale, listings)
    cross join lateral generate_series(0, b.listings - 1) as g (n)
    inner join seed_noun as o on g.n % 96 = o.number
    inner join word as w
        on w.kind = case
            when o.category in ('tea-coffee', 'spices', 'snacks', 'oils') then 'food'
            when o.category in ('skin-care', 'perfume') then 'care'
            when
                o.category in ('solar-lamps', 'solar-panels', 'power-banks', 'inverters')
                then 'energy'
            else 'goods'
        end
),

worded as (
    select
        m.*,
        concat(m.adjective, ' ', m.name, ', ', m.variant) as title,
        concat(m.name_fr, ' ', m.adjective_fr, ', ', m.variant_fr) as title_fr
    from made as m
)

select
    case when t.is_wholesale then 'carton-' else 'piece-' end || t.n,
    t.category,
    upper(left(t.title, 1)) || substr(t.title, 2)
    || case when t.is_wholesale then ', carton of ' || t.min_quantity else '' end,
    upper(left(t.title_fr, 1)) || substr(t.title_fr, 2)
    || case when t.is_wholesale then ', carton de ' || t.min_quantity else '' end,
    'Looked over before it leaves: ' || t.title || '.',
    'Contrôle avant expédition : ' || t.title_fr || '.',
    t.usd,
    floor(t.usd * 18.2) + 0.90,
    greatest(50, round(t.usd * 610 / 50) * 50),
    case when t.n % 40 = 39 then 0 else 5 + t.n * 37 % 180 end
    * case when t.is_wholesale then 20 else 1 end,
    3.40 + (t.n * 17 % 16) / 10.0,
    t.n * 29 % 420,
    t.weight_grams,
    t.min_quantity,
    'category-' || t.category,
    timestamptz '2026-09-01 08:00:00+00' + t.n * interval '37 minutes'
from worded as t;

insert into public.products (
    id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
    price_mallgram, seller_rating, review_count, weight_grams, created_at
)
select
    pg_temp.seed_id('listing/' || l.slug),
    l.slug,
    pg_temp.seed_id('supplier/' || 1 + abs(hashtext(l.category)) % 3),
    c.id,
    l.name,
    l.name_fr,
    l.description,
    l.description_fr,
    l.usd,
    l.rating,
    l.reviews,
    l.weight_grams,
    l.created_at
from seed_listing as l
inner join public.categories as c on l.category = c.slug
where l.min_quantity is null
on conflict do nothing;

insert into public.products_retailer (
    id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
    price_mallgram, seller_rating, review_count, weight_grams, created_at, min_order_quantity,
    order_increment, bulk_discount_percent, bulk_min_quantity
)
select
    pg_temp.seed_id('listing/' || l.slug),
    l.slug,
    pg_temp.seed_id('supplier/' || 4 + abs(hashtext(l.category)) % 3),
    c.id,
    l.name,
    l.name_fr,
    l.description,
    l.description_fr,
    l.usd,
    l.rating,
    l.reviews,
    l.weight_grams,
    l.created_at,
    l.min_quantity,
    greatest(1, l.min_quantity / 2),
    15,
    l.min_quantity * 10
from seed_listing as l
inner join public.categories as c on l.category = c.slug
where l.min_quantity is not null
on conflict do nothing;

insert into public.price_tiers (id, retailer_product_id, quantities, discount_percent)
select
    pg_temp.seed_id('tier/' || l.slug || t.number),
    p.id,
    t.quantities,
    t.discount_percent
from seed_listing as l
inner join public.products_retailer as p on pg_temp.seed_id('listing/' || l.slug) = p.id
cross join lateral (
    values
    (1, int4range(l.min_quantity * 2, l.min_quantity * 5), 5.00),
    (2, int4range(l.min_quantity * 5, l.min_quantity * 10), 10.00)
) as t (number, quantities, discount_percent)
on conflict do nothing;

create temporary table seed_target on commit drop as
select l.*, p.id as product_id, r.id as retailer_product_id
from seed_listing as l
left join public.products as p on pg_temp.seed_id('listing/' || l.slug) = p.id
left join public.products_retailer as r on pg_temp.seed_id('listing/' || l.slug) = r.id;

insert into public.product_stock (product_id, retailer_product_id, on_hand)
select t.product_id, t.retailer_product_id, t.stock
from seed_target as t
on conflict do nothing;

insert into public.product_prices (product_id, retailer_product_id, country, currency, amount)
select t.product_id, t.retailer_product_id, c.country, c.currency, c.amount
from seed_target as t
cross join lateral (
    values ('ZA', 'ZAR', t.zar), ('CM', 'XAF', t.xaf)
) as c (country, currency, amount)
on conflict do nothing;

insert into public.product_media (
    id, product_id, retailer_product_id, storage_path, alt, alt_fr, width, height
)
select
    pg_temp.seed_id('media/' || t.slug),
    t.product_id,
    t.retailer_product_id,
    'products/seed/' || t.image || '.webp',
    t.name,
    t.name_fr,
    480,
    480
from seed_target as t
on conflict do nothing;

-- Clothes and shoes come in sizes, all at one price: they can be bought without choosing, too.
insert into public.product_variants (
    id, product_id, retailer_product_id, external_id, position, options, options_fr
)
select
    pg_temp.seed_id('variant/' || t.slug || '/' || v.size),
    t.product_id,
    t.retailer_product_id,
    v.size,
    v.position,
    jsonb_build_array(jsonb_build_object('name', 'Size', 'value', v.size)),
    jsonb_build_array(jsonb_build_object('name', 'Taille', 'value', v.size))
from seed_target as t
inner join (
    values
    ('shoes', '37', 0), ('shoes', '39', 1), ('shoes', '41', 2),
    ('shoes', '43', 3), ('shoes', '45', 4),
    ('women', 'S', 0), ('women', 'M', 1), ('women', 'L', 2),
    ('women', 'XL', 3),
    ('men', 'M', 0), ('men', 'L', 1), ('men', 'XL', 2), ('men', 'XXL', 3),
    ('kids-clothing', '4', 0), ('kids-clothing', '6', 1),
    ('kids-clothing', '8', 2), ('kids-clothing', '10', 3)
) as v (category, size, position) on t.category = v.category
on conflict do nothing;

-- The worker would do so within minutes; who opens the shop now searches now.
select service.refresh_search(100000) as search_refreshed;
select service.count_search(100000) as search_counted;

analyze public.categories, public.products, public.products_retailer, public.product_stock,
public.product_prices, public.product_media, public.product_variants, public.price_tiers,
private.search_documents, private.search_terms;

-- The consent of a buyer's account, where the suppliers are a sandbox: a worker changes it for a
-- token.
\if :{?supplier_consent_code}
insert into private.supplier_tokens (platform, consent_code, consented_at)
values
('alibaba', :'supplier_consent_code', now()),
('aliexpress', :'supplier_consent_code', now())
on conflict do nothing;
\endif

-- People to sign in as.
\if :{?demo_password}

create temporary table seed_person (
    email text, full_name text, phone text, country text, language text
) on commit drop;

insert into seed_person (email, full_name, phone, country, language)
values
(lower(:'demo_admin_email'), 'Naledi Khumalo', '+27821000001', 'ZA', 'en'),
(lower(:'demo_shopper_email'), 'Chantal Mbarga', '+237670000000', 'CM', 'fr'),
(lower(:'demo_affiliate_email'), 'Amina Bello', '+237690000002', 'CM', 'fr');

insert into auth.users (
    id, aud, role, email, encrypted_password, email_confirmed_at, confirmation_token,
    recovery_token, email_change, email_change_token_new, raw_app_meta_data, raw_user_meta_data,
    created_at, updated_at
)
select
    pg_temp.seed_id('user/' || p.email),
    'authenticated',
    'authenticated',
    p.email,
    -- pgcrypto writes $2a$; the same hash is called $2b$ elsewhere, and every reader takes that.
    '$2b$' || substr(extensions.crypt(:'demo_password', extensions.gen_salt('bf', 10)), 5),
    now(),
    '',
    '',
    '',
    '',
    '{"provider": "email", "providers": ["email"]}'::jsonb,
    jsonb_build_object(
        'full_name', p.full_name, 'phone', p.phone, 'country', p.country, 'language', p.language
    ),
    now(),
    now()
from seed_person as p
on conflict do nothing;

insert into auth.identities (
    id, provider, provider_id, user_id, identity_data, last_sign_in_at, created_at, updated_at
)
select
    pg_temp.seed_id('identity/' || u.email),
    'email',
    u.id::text,
    u.id,
    jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true),
    now(),
    now(),
    now()
from auth.users as u
inner join seed_person as p on u.email = p.email
on conflict do nothing;

-- Hosted Supabase Auth looks its users up by instance; the local server has no such column.
do $$
begin
    if exists (
        select
        from information_schema.columns as c
        where c.table_schema = 'auth' and c.table_name = 'users' and c.column_name = 'instance_id'
    ) then
        execute 'update auth.users as u set instance_id = $1 from seed_person as p '
            'where u.email = p.email and u.instance_id is null'
        using '00000000-0000-0000-0000-000000000000'::uuid;
    end if;
end
$$;

insert into public.admins (user_id)
select u.id
from public.users as u
where u.email = lower(:'demo_admin_email')
on conflict do nothing;

insert into public.affiliates (user_id, status, payout_channel, payout_account, note)
select u.id, 'approved', 'kora', u.phone, 'Demo'
from public.users as u
where u.email = lower(:'demo_affiliate_email')
on conflict do nothing;

insert into public.promo_codes (code, affiliate_id, discount_percent, usage_limit)
select 'AMINA10', a.id, 10, null
from public.affiliates as a
inner join public.users as u on a.user_id = u.id
where u.email = lower(:'demo_affiliate_email')
on conflict do nothing;

insert into public.promo_codes (code, admin_id, discount_percent, usage_limit, per_user_limit)
select 'BIENVENUE', a.id, 5, 1000, 1
from public.admins as a
inner join public.users as u on a.user_id = u.id
where u.email = lower(:'demo_admin_email')
on conflict do nothing;

insert into public.addresses (
    id, user_id, label, recipient_name, phone, country, city, district, landmark, is_default
)
select
    pg_temp.seed_id('address/' || u.email),
    u.id,
    'Maison',
    u.full_name,
    u.phone,
    'CM',
    'Yaoundé',
    'Bastos',
    'Derrière la pharmacie du Soleil, portail bleu',
    true
from public.users as u
where u.email = lower(:'demo_shopper_email')
on conflict do nothing;

\else
\echo 'No demo_password given: the catalogue is there, the demo logins are not.'
\endif
