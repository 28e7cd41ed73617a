//! `gatepass demo`: the guided tour, offline. A gateway, origins and a name server on loopback, certificates minted on
//! the spot, a scene for each thing the gateway can do, and the exit code of whether each ended as told.

mod client;

mod names;

mod origin;

mod scene;

mod scenes;

mod show;

mod world;

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use self::scene::Scene;
use self::world::World;
use super::Exit;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Keep the gateway running afterwards, and print lines to try.
    #[arg(long)]
    stay: bool,
    /// A summary as JSON, for scripts.
    #[arg(long, conflicts_with = "stay")]
    json: bool,
}

/// Nothing of the tour is worth waiting for when it ends.
const DRAIN: Duration = Duration::from_millis(200);

pub fn run(arguments: &Arguments) -> Exit {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(tour(arguments));
            runtime.shutdown_timeout(DRAIN);
            exit
        }
        Err(error) => failed(&error),
    }
}

fn failed(why: &dyn std::fmt::Display) -> Exit {
    eprintln!("error: the tour could not begin: {why}");
    Exit::Failed
}

async fn tour(arguments: &Arguments) -> Exit {
    let started = Instant::now();
    let world = match World::make().await {
        Ok(world) => world,
        Err(why) => return failed(&why),
    };
    let paint = if arguments.json { Paint::Plain } else { Paint::stdout() };
    if !arguments.json {
        print!("{}", show::opening(&world, paint));
    }
    let scenes = scenes::play(&world, |number, scene| {
        if !arguments.json {
            println!("{}", show::scene(number, scene, paint));
        }
    })
    .await;
    if arguments.json {
        println!("{}", summary(&scenes));
    } else {
        println!("{}", show::ending(&scenes, started.elapsed(), paint));
    }
    if arguments.stay {
        stay(&world, paint).await;
    }
    world.end().await;
    scene::exit(&scenes)
}

/// Until Ctrl-C.
async fn stay(world: &World, paint: Paint) {
    world.let_time_go_on();
    println!("{}\n", paint.strong("The gateway stays until Ctrl-C. In another terminal:"));
    println!("{}", show::setting(world));
    let port = world.secure.address.port();
    let curl = "curl -x $PROXY -U ci:ci-$SECRET --cacert $DIR/origins.pem";
    println!("  {curl} https://packages.test:{port}/");
    println!("  {curl} https://paste.evil.test:{port}/");
    println!("  gatepass why paste.evil.test --proxy http://ci:ci-$SECRET@{}\n", world.plain);
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("error: signals cannot be received: {error}");
    }
}

/// For scripts: every scene with its checks.
fn summary(scenes: &[Scene]) -> serde_json::Value {
    let checks = |scene: &Scene| -> Vec<_> {
        scene.checks.iter().map(|check| json!({"told": check.told, "held": check.held})).collect()
    };
    let scenes_as_json: Vec<_> = scenes
        .iter()
        .map(|scene| {
            json!({"name": scene.name, "title": scene.title, "as_told": scene.as_told(), "checks": checks(scene)})
        })
        .collect();
    json!({"as_told": scene::exit(scenes) == Exit::Yes, "scenes": scenes_as_json})
}
