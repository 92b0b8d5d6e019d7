-- Who wishes for something that had run out is told once that it is there again.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(46);

-- given three people who wish for a lamp that has run out, one of them where it is not sold
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_user('thandi');
select tests.make_product('lamp', stock => 0, price_za => null, name_fr => 'Lampe');
select tests.make_product('shoe', stock => null);
select tests.make_wholesale_product('box', stock => 5, min_order_quantity => 10);

create function tests.wish(name text, listing text) returns void
language sql security definer as $$
    insert into public.wishlist_items (user_id, product_id, retailer_product_id)
    select
        tests.id(wish.name),
        case when n.channel = 'retail' then n.id end,
        case when n.channel = 'wholesale' then n.id end
    from tests.names as n where n.name = wish.listing
$$;
-- The work that was asked for since the last look, by listing.
create function tests.asked() returns text
language plpgsql security definer as $$
declare
    v_asked text;
begin
    select string_agg(n.name, ' ' order by n.name) into v_asked
    from private.outbox as o
    inner join tests.names as n on (o.args ->> 'listing_id')::uuid = n.id
    where o.job = 'announce_stock';
    delete from private.outbox where job = 'announce_stock';
    return v_asked;
end
$$;
create function tests.count_stock(listing text, on_hand integer) returns void
language sql security definer as $$
    update public.product_stock as s
    set on_hand = count_stock.on_hand where s.listing_id = tests.id(count_stock.listing)
$$;
create function tests.announce(listing text, batch integer default 10) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.announce_stock(%L, %s)', tests.id(announce.listing), announce.batch
    ))
$$;
create function tests.told(listing text) returns text
language sql stable security definer as $$
    select string_agg(u.name, ' ' order by u.name)
    from public.notifications as n
    inner join tests.names as u on n.user_id = u.id
    where n.kind = 'back_in_stock' and (n.data ->> 'product_id')::uuid = tests.id(told.listing)
$$;

-- When it is noticed ------------------------------------------------------------------------------

select tests.count_stock('lamp', 3);
select is(tests.asked(), null, 'nobody waits: nothing is to be done');
select tests.count_stock('lamp', 0);
select tests.wish('amina', 'lamp');
select tests.wish('bongani', 'lamp');
select is(tests.asked(), null, 'given two who wait');
select tests.count_stock('lamp', 0);
select is(tests.asked(), null, 'none is still none');
select tests.count_stock('lamp', 4);
select is(tests.asked(), 'lamp', 'some is news');
select tests.count_stock('lamp', 6);
select is(tests.asked(), null, 'more of it is not');
select tests.count_stock('lamp', 1);
select is(tests.asked(), null, 'less neither');

select tests.wish('amina', 'box');
select tests.count_stock('box', 9);
select is(tests.asked(), null, 'less than the smallest order is as good as none');
select tests.count_stock('box', 10);
select is(tests.asked(), 'box', 'enough for it is news');

select tests.wish('amina', 'shoe');
insert into public.product_stock (product_id, on_hand) values (tests.id('shoe'), 0);
select is(tests.asked(), null, 'a first count of none is no news');
delete from public.product_stock where listing_id = tests.id('shoe');
insert into public.product_stock (product_id, on_hand) values (tests.id('shoe'), 2);
select is(tests.asked(), 'shoe', 'a first count of some is');
update public.products set is_active = false where id = tests.id('shoe');
select is(tests.asked(), null, 'a product that leaves the shop is no news');
update public.products set name = 'Shoe' where id = tests.id('shoe');
select is(tests.asked(), null, 'nor a new name');
update public.products set is_active = true where id = tests.id('shoe');
select is(tests.asked(), 'shoe', 'its return is');
update public.products set is_active = true where id = tests.id('shoe');
select is(tests.asked(), null, 'once');
update public.products_retailer set is_active = false where id = tests.id('box');
update public.products_retailer set is_active = true where id = tests.id('box');
select is(tests.asked(), 'box', 'in bulk as well');

-- an order that lets go of the last piece
select tests.place_order('order', 'thandi', jsonb_build_array(tests.item('lamp', 1)));
select tests.act_as('thandi');
select public.cancel_order(tests.id('order'));
select tests.act_as_owner();
select is(tests.asked(), 'lamp', 'a piece that an order gives back is there again');

-- Who is told -------------------------------------------------------------------------------------

select tests.count_stock('lamp', 0);
select is(tests.announce('lamp'), '{"announced": 0}', 'what was sold again meanwhile is no news');
select is(tests.told('lamp'), null, 'and told to nobody');
select tests.count_stock('lamp', 2);
delete from private.outbox;
select is(tests.announce('lamp'), '{"announced": 1}', 'what is there is told');
select is(tests.told('lamp'), 'amina', 'to whom it is sold');
select results_eq(
    $$ select n.data from public.notifications as n where n.kind = 'back_in_stock' $$,
    $$ values (jsonb_build_object(
           'product_id', tests.id('lamp'), 'channel', 'retail', 'name', 'lamp',
           'name_fr', 'Lampe')) $$,
    'a message has the facts'
);
select results_eq(
    $$ select n.name, w.notified_at
       from public.wishlist_items as w inner join tests.names as n on w.user_id = n.id
       where w.listing_id = tests.id('lamp') order by n.name $$,
    $$ values ('amina', now()), ('bongani', null) $$,
    'who was told is noted, who lives elsewhere keeps waiting'
);
select results_eq(
    $$ select o.job, o.args ->> 'email_id' from private.outbox as o $$,
    $$ select 'send_email', e.id::text from private.emails as e
       where e.template = 'back_in_stock' and e.user_id = tests.id('amina') $$,
    'one mail is to be sent'
);
select is(tests.announce('lamp'), '{"announced": 0}', 'said again');
select is(tests.told('lamp'), 'amina', 'it is told once');
select tests.count_stock('lamp', 0);
select tests.count_stock('lamp', 5);
select is(tests.asked(), 'lamp', 'given it ran out and came back, for the other');
select is(tests.announce('lamp'), '{"announced": 0}', 'she has had her notice');
update public.products set is_active = false where id = tests.id('lamp');
update public.wishlist_items set notified_at = null;
select is(tests.announce('lamp'), '{"announced": 0}', 'what is not on sale is no news');
update public.products set is_active = true where id = tests.id('lamp');
delete from private.outbox;
update public.product_prices set is_held = true where listing_id = tests.id('lamp');
select is(tests.announce('lamp'), '{"announced": 0}', 'nor what cannot be bought at its price');
select is(tests.asked(), null, 'given nothing is asked for');
update public.product_prices set is_held = false where listing_id = tests.id('lamp');
select is(tests.asked(), 'lamp', 'that it can again is news');
update public.product_prices set amount = amount + 100, is_held = false
where listing_id = tests.id('lamp');
update public.product_prices set amount = amount - 100 where listing_id = tests.id('lamp');
select is(tests.asked(), null, 'a new price is not');

-- Wishing again -----------------------------------------------------------------------------------

update public.wishlist_items set notified_at = now() where listing_id = tests.id('lamp');
select tests.act_as('amina');
select isnt(
    (select w.notified_at from public.add_to_wishlist(tests.id('lamp'), 'retail') as w
     where w.listing_id = tests.id('lamp')),
    null, 'wished again while it is there, nothing is owed'
);
select tests.count_stock('lamp', 0);
select is(
    (select w.notified_at from public.add_to_wishlist(tests.id('lamp'), 'retail') as w
     where w.listing_id = tests.id('lamp')),
    null, 'wished again while it is not, another notice is'
);
select tests.act_as_owner();
select tests.count_stock('lamp', 1);
delete from private.outbox;
select is(tests.announce('lamp'), '{"announced": 1}', 'which she gets');
select is(
    (select count(*) from private.emails as e where e.template = 'back_in_stock'), 2::bigint,
    'by a mail of its own'
);

-- Many --------------------------------------------------------------------------------------------

delete from private.outbox;
select tests.make_user('fan' || n, country => 'CM') from generate_series(1, 5) as n;
select tests.wish('fan' || n, 'box') from generate_series(1, 5) as n;
update public.wishlist_items as w
set created_at = now() + substr(n.name, 4)::integer * interval '1 minute'
from tests.names as n
where w.user_id = n.id and n.name like 'fan%';
delete from public.wishlist_items where user_id = tests.id('amina');
select is(tests.announce('box', 2), '{"announced": 2}', 'of many a batch is told at once');
select is(tests.told('box'), 'fan1 fan2', 'who waited longest first');
select is(tests.asked(), 'box', 'and the next batch is asked for');
select is(tests.announce('box', 2), '{"announced": 2}', 'which follows');
select is(tests.announce('box', 2), '{"announced": 1}', 'down to the last');
select is(tests.told('box'), 'fan1 fan2 fan3 fan4 fan5', 'all were told');
select is(tests.asked(), 'box', 'and after the last batch');
select is(tests.announce('box', 2), '{"announced": 0}', 'nobody is left');

-- The mail ----------------------------------------------------------------------------------------

create function tests.mail_data(recipient text) returns jsonb
language sql as $$
    select tests.as_service(format('service.begin_email(%L)', (
        select e.id from private.emails as e
        where e.template = 'back_in_stock' and e.user_id = tests.id(mail_data.recipient)
        order by e.id limit 1
    )))
$$;
select is(
    tests.mail_data('amina') -> 'data',
    jsonb_build_object(
        'first_name', 'Amina', 'product_id', tests.id('lamp'), 'product_name', 'Lampe',
        'price', 5000.00, 'currency', 'XAF', 'minor_unit', 0, 'min_order_quantity', 1,
        'available', 1, 'image', null
    ),
    'it speaks her language and names her country''s price'
);
select is(
    tests.mail_data('fan1') #>> '{data,min_order_quantity}', '10', 'in bulk the smallest order too'
);

select * from finish();
rollback;
