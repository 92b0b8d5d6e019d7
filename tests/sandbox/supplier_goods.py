"""Words of the synthetic catalogue: a tree of categories and what is sold there, in two languages.

`ROOTS` is `(id, English, French, children)`, a child `(id, English, French, dollars, grams, nouns)`
with the usual price and weight of a piece, and nouns as pairs.
"""

from __future__ import annotations

Noun = tuple[str, str]
Leaf = tuple[int, str, str, float, int, tuple[Noun, ...]]
Root = tuple[int, str, str, tuple[Leaf, ...]]

ROOTS: tuple[Root, ...] = (
    (
        15,
        "Home & Garden",
        "Maison et jardin",
        (
            (
                200003700,
                "Garden Lights",
                "Éclairage de jardin",
                9.5,
                320,
                (
                    ("Solar Garden Lamp", "Lampe solaire de jardin"),
                    ("Fairy String Lights", "Guirlande lumineuse"),
                    ("Path Light", "Borne lumineuse d'allée"),
                    ("Flood Light", "Projecteur extérieur"),
                ),
            ),
            (
                100006665,
                "Bedding",
                "Linge de lit",
                22.0,
                1100,
                (
                    ("Duvet Cover", "Housse de couette"),
                    ("Bed Sheet Set", "Parure de draps"),
                    ("Pillowcase Pair", "Paire de taies d'oreiller"),
                    ("Mosquito Net", "Moustiquaire"),
                ),
            ),
            (
                200215252,
                "Kitchen Storage",
                "Rangement de cuisine",
                7.5,
                450,
                (
                    ("Food Container", "Boîte alimentaire"),
                    ("Spice Rack", "Étagère à épices"),
                    ("Lunch Box", "Boîte à déjeuner"),
                    ("Bread Bin", "Boîte à pain"),
                ),
            ),
            (
                200003239,
                "Curtains",
                "Rideaux",
                18.0,
                900,
                (
                    ("Blackout Curtain", "Rideau occultant"),
                    ("Sheer Curtain", "Voilage"),
                    ("Shower Curtain", "Rideau de douche"),
                ),
            ),
        ),
    ),
    (
        44,
        "Consumer Electronics",
        "Électronique grand public",
        (
            (
                63705,
                "Headphones",
                "Casques et écouteurs",
                19.0,
                180,
                (
                    ("Wireless Earbuds", "Écouteurs sans fil"),
                    ("Over-Ear Headphones", "Casque audio"),
                    ("Gaming Headset", "Casque de jeu"),
                    ("Neckband Earphones", "Écouteurs tour de cou"),
                ),
            ),
            (
                518,
                "Speakers",
                "Haut-parleurs",
                24.0,
                700,
                (
                    ("Bluetooth Speaker", "Enceinte Bluetooth"),
                    ("Sound Bar", "Barre de son"),
                    ("Karaoke Machine", "Machine à karaoké"),
                ),
            ),
            (
                200005280,
                "Smart Watches",
                "Montres connectées",
                32.0,
                120,
                (
                    ("Smart Watch", "Montre connectée"),
                    ("Fitness Band", "Bracelet d'activité"),
                    ("Kids GPS Watch", "Montre GPS pour enfant"),
                ),
            ),
            (
                200218548,
                "Power Banks",
                "Batteries externes",
                21.0,
                380,
                (
                    ("Power Bank", "Batterie externe"),
                    ("Solar Power Bank", "Batterie externe solaire"),
                    ("Wireless Charger", "Chargeur sans fil"),
                ),
            ),
        ),
    ),
    (
        509,
        "Phones & Accessories",
        "Téléphones et accessoires",
        (
            (
                380230,
                "Phone Cases",
                "Coques de téléphone",
                3.5,
                60,
                (
                    ("Phone Case", "Coque de téléphone"),
                    ("Wallet Case", "Étui portefeuille"),
                    ("Shockproof Case", "Coque antichoc"),
                ),
            ),
            (
                200380142,
                "Screen Protectors",
                "Protections d'écran",
                2.4,
                40,
                (
                    ("Tempered Glass", "Verre trempé"),
                    ("Privacy Screen Film", "Film de confidentialité"),
                ),
            ),
            (
                200003132,
                "Cables & Chargers",
                "Câbles et chargeurs",
                5.0,
                90,
                (
                    ("USB-C Cable", "Câble USB-C"),
                    ("Fast Charger", "Chargeur rapide"),
                    ("Car Charger", "Chargeur de voiture"),
                    ("Charging Station", "Station de charge"),
                ),
            ),
            (
                200084019,
                "Phone Holders",
                "Supports de téléphone",
                6.0,
                150,
                (
                    ("Car Phone Holder", "Support de téléphone pour voiture"),
                    ("Tripod Stand", "Trépied"),
                    ("Selfie Stick", "Perche à selfie"),
                ),
            ),
        ),
    ),
    (
        3,
        "Women's Fashion",
        "Mode femme",
        (
            (
                200003482,
                "Dresses",
                "Robes",
                21.0,
                350,
                (
                    ("Summer Dress", "Robe d'été"),
                    ("Ankara Print Dress", "Robe en wax"),
                    ("Evening Dress", "Robe de soirée"),
                    ("Maxi Dress", "Robe longue"),
                ),
            ),
            (
                200000775,
                "Blouses",
                "Chemisiers",
                14.0,
                220,
                (
                    ("Chiffon Blouse", "Chemisier en mousseline"),
                    ("Linen Shirt", "Chemise en lin"),
                    ("Off-Shoulder Top", "Haut à épaules dénudées"),
                ),
            ),
            (
                322001,
                "Women's Shoes",
                "Chaussures femme",
                26.0,
                700,
                (
                    ("Platform Sandals", "Sandales compensées"),
                    ("High Heel Shoes", "Chaussures à talons"),
                    ("Ballet Flats", "Ballerines"),
                    ("Running Shoes", "Chaussures de course"),
                ),
            ),
            (
                152401,
                "Handbags",
                "Sacs à main",
                23.0,
                620,
                (
                    ("Leather Handbag", "Sac à main en cuir"),
                    ("Crossbody Bag", "Sac bandoulière"),
                    ("Tote Bag", "Cabas"),
                ),
            ),
        ),
    ),
    (
        200000343,
        "Men's Fashion",
        "Mode homme",
        (
            (
                200000668,
                "Men's Shirts",
                "Chemises homme",
                16.0,
                300,
                (
                    ("Polo Shirt", "Polo"),
                    ("Denim Shirt", "Chemise en jean"),
                    ("Dashiki Shirt", "Chemise dashiki"),
                    ("Cotton T-Shirt", "T-shirt en coton"),
                ),
            ),
            (
                322002,
                "Men's Shoes",
                "Chaussures homme",
                31.0,
                900,
                (
                    ("Leather Shoes", "Chaussures en cuir"),
                    ("Canvas Sneakers", "Baskets en toile"),
                    ("Work Boots", "Chaussures de sécurité"),
                    ("Flip Flops", "Tongs"),
                ),
            ),
            (
                200000708,
                "Trousers",
                "Pantalons",
                20.0,
                520,
                (
                    ("Chino Trousers", "Pantalon chino"),
                    ("Cargo Trousers", "Pantalon cargo"),
                    ("Slim Jeans", "Jean ajusté"),
                ),
            ),
        ),
    ),
    (
        66,
        "Beauty & Health",
        "Beauté et santé",
        (
            (
                200001168,
                "Hair Extensions",
                "Extensions de cheveux",
                38.0,
                260,
                (
                    ("Lace Front Wig", "Perruque à dentelle"),
                    ("Braiding Hair", "Mèches à tresser"),
                    ("Curly Hair Bundle", "Tissage bouclé"),
                ),
            ),
            (
                3306,
                "Skin Care",
                "Soins de la peau",
                8.5,
                200,
                (
                    ("Shea Butter Cream", "Crème au beurre de karité"),
                    ("Vitamin C Serum", "Sérum à la vitamine C"),
                    ("Face Mask Set", "Lot de masques visage"),
                ),
            ),
            (
                200001147,
                "Make-up",
                "Maquillage",
                7.0,
                130,
                (
                    ("Matte Lipstick", "Rouge à lèvres mat"),
                    ("Eyeshadow Palette", "Palette de fards"),
                    ("Make-up Brush Set", "Lot de pinceaux de maquillage"),
                ),
            ),
            (
                200002496,
                "Hair Clippers",
                "Tondeuses",
                17.0,
                420,
                (
                    ("Hair Clipper", "Tondeuse à cheveux"),
                    ("Beard Trimmer", "Tondeuse à barbe"),
                    ("Electric Shaver", "Rasoir électrique"),
                ),
            ),
        ),
    ),
    (
        18,
        "Sports & Outdoors",
        "Sport et plein air",
        (
            (
                200003500,
                "Camping",
                "Camping",
                29.0,
                1500,
                (
                    ("Camping Tent", "Tente de camping"),
                    ("Sleeping Bag", "Sac de couchage"),
                    ("Head Torch", "Lampe frontale"),
                ),
            ),
            (
                200001115,
                "Fitness",
                "Fitness",
                15.0,
                800,
                (
                    ("Yoga Mat", "Tapis de yoga"),
                    ("Resistance Bands", "Bandes élastiques"),
                    ("Jump Rope", "Corde à sauter"),
                    ("Dumbbell Pair", "Paire d'haltères"),
                ),
            ),
            (
                200005156,
                "Football",
                "Football",
                18.0,
                430,
                (
                    ("Match Football", "Ballon de match"),
                    ("Shin Guards", "Protège-tibias"),
                    ("Goalkeeper Gloves", "Gants de gardien"),
                ),
            ),
        ),
    ),
    (
        34,
        "Automobiles",
        "Automobile",
        (
            (
                200000195,
                "Car Electronics",
                "Électronique automobile",
                41.0,
                850,
                (
                    ("Dash Camera", "Caméra embarquée"),
                    ("Car Radio", "Autoradio"),
                    ("Parking Sensor Kit", "Kit de radars de recul"),
                ),
            ),
            (
                200000369,
                "Car Care",
                "Entretien automobile",
                11.0,
                500,
                (
                    ("Car Vacuum Cleaner", "Aspirateur de voiture"),
                    ("Microfibre Cloth Set", "Lot de chiffons microfibre"),
                    ("Tyre Inflator", "Gonfleur de pneus"),
                ),
            ),
        ),
    ),
    (
        26,
        "Toys & Babies",
        "Jouets et bébés",
        (
            (
                200001385,
                "Building Toys",
                "Jeux de construction",
                14.0,
                600,
                (
                    ("Building Blocks", "Blocs de construction"),
                    ("Magnetic Tiles", "Tuiles magnétiques"),
                    ("Wooden Puzzle", "Puzzle en bois"),
                ),
            ),
            (
                200000500,
                "Baby Care",
                "Soins de bébé",
                12.0,
                400,
                (
                    ("Baby Carrier", "Porte-bébé"),
                    ("Feeding Bottle Set", "Lot de biberons"),
                    ("Swaddle Blanket", "Couverture d'emmaillotage"),
                ),
            ),
            (
                200001400,
                "School Supplies",
                "Fournitures scolaires",
                9.0,
                480,
                (
                    ("School Backpack", "Sac à dos scolaire"),
                    ("Pencil Case", "Trousse"),
                    ("Scientific Calculator", "Calculatrice scientifique"),
                ),
            ),
        ),
    ),
    (
        13,
        "Tools & Energy",
        "Outils et énergie",
        (
            (
                1420,
                "Hand Tools",
                "Outils à main",
                19.0,
                1200,
                (
                    ("Screwdriver Set", "Jeu de tournevis"),
                    ("Socket Wrench Kit", "Coffret de clés à douille"),
                    ("Tool Bag", "Sac à outils"),
                ),
            ),
            (
                200003310,
                "Power Tools",
                "Outils électriques",
                46.0,
                1900,
                (
                    ("Cordless Drill", "Perceuse sans fil"),
                    ("Angle Grinder", "Meuleuse d'angle"),
                    ("Jigsaw", "Scie sauteuse"),
                ),
            ),
            (
                200342142,
                "Solar Energy",
                "Énergie solaire",
                58.0,
                2600,
                (
                    ("Solar Panel", "Panneau solaire"),
                    ("Solar Inverter", "Onduleur solaire"),
                    ("Charge Controller", "Régulateur de charge"),
                ),
            ),
        ),
    ),
)

QUALITIES: tuple[tuple[str, str], ...] = (
    ("Portable", "portable"),
    ("Waterproof", "étanche"),
    ("Foldable", "pliable"),
    ("Lightweight", "léger"),
    ("Heavy-Duty", "robuste"),
    ("Premium", "haut de gamme"),
    ("Compact", "compact"),
    ("Classic", "classique"),
    ("Modern", "moderne"),
    ("Eco-Friendly", "écologique"),
    ("Adjustable", "réglable"),
    ("Elegant", "élégant"),
    ("Rechargeable", "rechargeable"),
    ("Large", "grand format"),
    ("Mini", "mini"),
    ("Handmade", "fait main"),
    ("Professional", "professionnel"),
    ("Soft", "doux"),
)
COLOURS: tuple[tuple[int, str, str], ...] = (
    (29, "White", "Blanc"),
    (193, "Black", "Noir"),
    (10, "Red", "Rouge"),
    (173, "Blue", "Bleu"),
    (175, "Green", "Vert"),
    (366, "Yellow", "Jaune"),
    (496, "Purple", "Violet"),
    (350850, "Gold", "Doré"),
    (691, "Gray", "Gris"),
)
SIZES: tuple[tuple[int, str], ...] = (
    (100014064, "S"),
    (361386, "M"),
    (361385, "L"),
    (100014065, "XL"),
    (4182, "XXL"),
)
MATERIALS: tuple[tuple[str, str], ...] = (
    ("Cotton", "Coton"),
    ("Stainless steel", "Acier inoxydable"),
    ("ABS plastic", "Plastique ABS"),
    ("Aluminium", "Aluminium"),
    ("Leather", "Cuir"),
    ("Bamboo", "Bambou"),
    ("Silicone", "Silicone"),
    ("Polyester", "Polyester"),
)
BANNED: tuple[str, ...] = ("Replica", "Fake Brand", "Counterfeit")
"""Words that no title of the shop may have."""
