//! A scene: what was asked, what came back, what the gateway says of it, and whether it ended as told.

use super::super::Exit;

/// One statement about the end of a scene.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was told.
    pub told: String,
    /// Whether it is so.
    pub held: bool,
}

/// One scene, played.
#[derive(Clone, Debug)]
pub struct Scene {
    /// A word for scripts.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// What happened, in order.
    pub lines: Vec<Line>,
    /// How it should have ended; never empty.
    pub checks: Vec<Check>,
}

/// One line of a scene.
#[derive(Clone, Debug)]
pub enum Line {
    /// Somebody types this.
    Asked(String),
    /// The client gets this.
    Got(String),
    /// The gateway says this.
    Said(String),
    /// Between the lines.
    Note(String),
}

impl Scene {
    /// A scene that has not begun.
    pub fn new(name: &'static str, title: &'static str) -> Scene {
        Scene { name, title, lines: Vec::new(), checks: Vec::new() }
    }

    /// Somebody types this.
    pub fn asked(&mut self, command: impl Into<String>) {
        self.lines.push(Line::Asked(command.into()));
    }

    /// The client gets this.
    pub fn got(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Got(text.into()));
    }

    /// The gateway says this, in as many lines.
    pub fn said(&mut self, text: &str) {
        self.lines.extend(text.lines().map(|line| Line::Said(line.to_owned())));
    }

    /// A word between the lines.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// It should have ended so.
    pub fn check(&mut self, told: impl Into<String>, held: bool) {
        self.checks.push(Check { told: told.into(), held });
    }

    /// Whether it ended as told. A scene that checked nothing told nothing.
    pub fn as_told(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.held)
    }
}

/// The tour's end: yes, if each scene ended as told.
pub fn exit(scenes: &[Scene]) -> Exit {
    if !scenes.is_empty() && scenes.iter().all(Scene::as_told) { Exit::Yes } else { Exit::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(held: &[bool]) -> Scene {
        let mut scene = Scene::new("test", "a scene");
        held.iter().for_each(|held| scene.check("it held", *held));
        scene
    }

    #[test]
    fn the_tour_ends_well_only_if_every_check_of_every_scene_held() {
        assert_eq!(exit(&[scene(&[true]), scene(&[true, true])]), Exit::Yes);
        assert_eq!(exit(&[scene(&[true]), scene(&[true, false])]), Exit::No);
        assert_eq!(exit(&[scene(&[false])]), Exit::No);
    }

    #[test]
    fn a_tour_or_a_scene_that_checked_nothing_did_not_end_well() {
        assert_eq!(exit(&[]), Exit::No);
        assert_eq!(exit(&[scene(&[true]), scene(&[])]), Exit::No);
    }
}
