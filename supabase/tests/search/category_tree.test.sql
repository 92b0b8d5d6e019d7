begin;
\ir ../_helpers.psql
select plan(13);

-- given a tree, its children out of order, one branch off sale
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('ada');
select tests.make_category('zt', name => 'Root', name_fr => 'Racine', "position" => 900);
select tests.make_category('zt-b', 'zt', 'Second', 'Deuxième', 20);
select tests.make_category('zt-a', 'zt', 'First', 'Premier', 3);
select tests.make_category('zt-c', 'zt', 'Also second', 'Aussi deuxième', 20);
select tests.make_category('zt-a-x', 'zt-a', 'Deep', 'Profond', 0);
select tests.make_category('zt-off', 'zt', 'Off', 'Parti', 1, false);
select tests.make_category('zt-off-x', 'zt-off', 'Off below', 'Parti dessous', 1);

-- Our branch of the tree, in the order in which it came.
create function tests.branch(language text default 'en')
returns table (slug text, name text, depth integer, path text [], cursor text)
language sql as $$
    select t.slug, t.name, t.depth, t.path, t.cursor
    from (
        select c.*, row_number() over () as place
        from public.category_tree(branch.language) as c
    ) as t
    where t.path[1] = 'zt'
    order by t.place
$$;

select tests.act_as_anon();
select results_eq(
    'select * from tests.branch()',
    $$
    values
    ('zt', 'Root', 1, '{zt}'::text [], 'zt'),
    ('zt-a', 'First', 2, '{zt,zt-a}', 'zt/zt-a'),
    ('zt-a-x', 'Deep', 3, '{zt,zt-a,zt-a-x}', 'zt/zt-a/zt-a-x'),
    ('zt-b', 'Second', 2, '{zt,zt-b}', 'zt/zt-b'),
    ('zt-c', 'Also second', 2, '{zt,zt-c}', 'zt/zt-c')
    $$,
    'parents come before children, siblings by position and slug, what is off sale not at all'
);
select results_eq(
    $$select b.name from tests.branch('fr') as b$$,
    $$values ('Racine'), ('Premier'), ('Profond'), ('Deuxième'), ('Aussi deuxième')$$,
    'names are in French when asked for'
);
select results_eq(
    $$
    select t.id, t.parent_id from public.category_tree('en') as t
    where t.slug in ('zt', 'zt-a-x') order by t.depth
    $$,
    $$values (tests.id('zt'), null::uuid), (tests.id('zt-a-x'), tests.id('zt-a'))$$,
    'each node knows its parent, a root has none'
);
select is(
    (select count(*) - count(distinct t.id) from public.category_tree() as t), 0::bigint,
    'each category comes once'
);

-- the language of the request, of the person, English
select is((select b.name from tests.branch(null) as b limit 1), 'Root', 'a guest reads English');
select tests.speaks('fr');
select is(
    (select b.name from tests.branch(null) as b limit 1), 'Racine', 'or what the request asks for'
);
select tests.speaks(null);
select tests.act_as('amina');
select is(
    (select b.name from tests.branch(null) as b limit 1), 'Racine',
    'a person reads their own language'
);

-- other roles
select tests.act_as('ada');
select is(
    (select count(*) from tests.branch()), 7::bigint, 'an admin sees what is off sale as well'
);
select tests.act_as_service_role();
select is((select count(*) from tests.branch()), 7::bigint, 'so does service_role');
select tests.act_as_service();
select tests.denies('select public.category_tree()', 'the service does not ask');

-- a circle ends
select tests.act_as_owner();
update public.categories set parent_id = tests.id('zt-a-x') where id = tests.id('zt');
select tests.act_as_anon();
select is((select count(*) from tests.branch()), 0::bigint, 'a circle hangs on no root');
select is(
    (
        select count(*)
        from public.search_products(category => 'zt-a', country => 'ZA')
    ),
    0::bigint, 'and searching in it ends'
);
select tests.refuses(
    $$select public.category_tree('de')$$, 'PT400 language_unknown', 'names are in two languages',
    'de'
);

select * from finish();
rollback;
