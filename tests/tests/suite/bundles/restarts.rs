//! What a gateway remembers: the last good archive, and that a release was seen.

use gatepass_tests::depot::Shelf;
use gatepass_tests::{Bundle, Gateway, Setup};

use super::{World, end, kept, ready, refused};

fn started(world: &World, setup: Setup, serial: u64) -> Gateway {
    world.depot.give(&world.office.signed(&world.allowing("old.test"), serial), "first");
    // Whatever the source does, this is no question of age here.
    let section = world.section(&setup, ", max_age: 1h");
    setup.section(&section).start(&Bundle::new())
}

#[test]
fn with_its_server_down_a_gateway_starts_with_the_last_good_archive() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let gateway = started(&world, setup, 5);
    assert_eq!(world.status(&gateway, "old.test"), 200);
    let ended = end(gateway);
    world.depot.put(Shelf::Down);
    let gateway = ended.start_again();
    let (_open, reply) = world.attempt(&gateway, "old.test");
    assert_eq!((reply.status, gateway.decision(&reply.id())["policy"]["serial"].as_u64()), (200, Some(5)));
    assert!(gateway.log().contains("the last good archive is in force instead"), "{}", gateway.log());
    let degraded = ready(&gateway)["degraded"].to_string();
    assert!(degraded.contains("the last good one is in force"), "{degraded}");
    let ended = end(gateway);

    // What was changed on the disk meanwhile is believed no more than what comes from the network.
    let archive = kept(&ended.setup, ".gpb");
    let mut bytes = std::fs::read(&archive).unwrap();
    let place = bytes.windows(8).position(|window| window == b"old.test").unwrap();
    bytes[place] = b'x';
    std::fs::write(&archive, bytes).unwrap();
    let said = refused(&ended.setup.configure());
    assert!(said.contains("the last good archive cannot be used either"), "{said}");
}

#[test]
fn an_older_release_stays_refused_after_a_restart() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let gateway = started(&world, setup, 5);
    let ended = end(gateway);
    world.depot.give(&world.office.signed(&world.allowing("new.test"), 4), "older");
    let gateway = ended.start_again();
    assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (200, 403));
    let degraded = ready(&gateway)["degraded"].to_string();
    assert!(degraded.contains("its serial is 4, and 5 of `corp` was in force here"), "{degraded}");
    let ended = end(gateway);
    // Without the last good archive there is nothing to fall back to, and the number is known all the same.
    std::fs::remove_file(kept(&ended.setup, ".gpb")).unwrap();
    assert!(refused(&ended.setup.configure()).contains("its serial is 4, and 5 of `corp` was in force here"));
    // A number that cannot be read is not 0.
    let serials = kept(&ended.setup, "serials.json");
    let before = std::fs::read(&serials).unwrap();
    std::fs::write(&serials, "{").unwrap();
    assert!(refused(&ended.setup.configure()).contains("serials.json` is damaged"));
    std::fs::write(&serials, before).unwrap();
    // Whoever removes it has forgotten on purpose.
    std::fs::remove_file(&serials).unwrap();
    let gateway = ended.start_again();
    assert_eq!(world.status(&gateway, "new.test"), 200);
}

#[test]
fn keys_are_rotated_by_listing_both_and_then_the_new_one() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let section = world.section(&setup, "").replace("[alice.pub]", "[alice.pub, next.pub], threshold: 1");
    // The same key twice counts once, and one is needed.
    setup.scratch.write("next.pub", world.office.text("alice.pub"));
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 1), "alice's");
    let setup = setup.section(&section);
    let write = |setup: &Setup, name: &str, key: &str| drop(setup.scratch.write(name, world.office.text(key)));

    // The new one is added.
    write(&setup, "next.pub", "bob.pub");
    let gateway = setup.start(&Bundle::new());
    assert_eq!(world.status(&gateway, "old.test"), 200);
    let ended = end(gateway);

    // Releases are signed with it.
    world.depot.give(&world.office.release(&world.allowing("new.test"), 2, super::LATER, &["bob"]), "bob's");
    let gateway = ended.start_again();
    assert_eq!(world.status(&gateway, "new.test"), 200);
    let ended = end(gateway);

    // The old one is removed: what only it has signed is nothing any more.
    write(&ended.setup, "alice.pub", "bob.pub");
    let gateway = ended.start_again();
    assert_eq!(world.status(&gateway, "new.test"), 200);
    let ended = end(gateway);
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 3), "alice's again");
    let gateway = ended.start_again();
    assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (403, 200));
    let ended = end(gateway);

    // Nor is a last good archive that none of the keys of now has signed.
    world.depot.put(Shelf::Down);
    write(&ended.setup, "alice.pub", "alice.pub");
    write(&ended.setup, "next.pub", "alice.pub");
    let said = refused(&ended.setup.configure());
    assert!(said.contains("the last good archive cannot be used either: 1 is needed, and it has 0"), "{said}");
}
