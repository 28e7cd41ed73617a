//! What origins serve: one greeting, in each of the forms in which clients fetch things.

use std::path::Path;

use crate::origin::Files;
use crate::programs::{Errand, run, shell};

/// What an origin has to say, whichever way a client comes to it.
pub const GREETING: &str = "hello from the origin\n";

/// A page at `/`.
pub fn page(_: &Path) -> Files {
    Files::from([("/".to_owned(), GREETING.as_bytes().to_vec())])
}

/// A bare repository as plain files, `greeting.git`: what Git calls the dumb protocol. It is made in `workshop`.
pub fn repository(workshop: &Path) -> Files {
    let line = format!(
        "git init -q work && printf %s '{GREETING}' > work/greeting && git -C work add greeting \
         && git -C work -c user.name=T -c user.email=t@example.com commit -qm greeting \
         && git clone -q --bare work greeting.git && git -C greeting.git update-server-info"
    );
    make(workshop, &["git"], &line);
    let mut files = Files::new();
    collect(&workshop.join("greeting.git"), "/greeting.git", &mut files);
    files
}

/// A package index at `/simple` with one package, `greeting`, which prints the greeting when Python imports it. The
/// package is made in `workshop`.
pub fn index(workshop: &Path) -> Files {
    const WHEEL: &str = "greeting-1.0-py3-none-any.whl";
    let line = format!(
        "mkdir greeting-1.0.dist-info && cd greeting-1.0.dist-info \
         && printf 'Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n' > METADATA \
         && printf 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n' > WHEEL \
         && printf 'greeting.py,,\\n' > RECORD && cd .. && printf 'print(\"{}\")\\n' > greeting.py \
         && python3 -m zipfile -c {WHEEL} greeting.py greeting-1.0.dist-info",
        GREETING.trim_end()
    );
    make(workshop, &["python3"], &line);
    let page = format!("<!DOCTYPE html><html><body><a href=\"/files/{WHEEL}\">{WHEEL}</a></body></html>");
    Files::from([
        ("/simple/greeting/".to_owned(), page.into_bytes()),
        (format!("/files/{WHEEL}"), std::fs::read(workshop.join(WHEEL)).unwrap()),
    ])
}

fn make(workshop: &Path, programs: &[&str], line: &str) {
    let nowhere = Errand { url: "", proxy: "", ca: Path::new(""), home: workshop };
    let shown = run(shell(programs, line, &nowhere));
    assert_eq!(shown.code, 0, "{shown:#?}");
}

fn collect(folder: &Path, path: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &path, files);
        } else {
            files.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}
