use super::*;

/// A folder of its own with these files in `config/secrets`, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("secrets-{name}-{}", std::process::id()));
        let folder = Self(path);
        std::fs::create_dir_all(folder.secrets()).unwrap();
        for (name, bytes) in files {
            let file = folder.secrets().join(name);
            std::fs::write(&file, bytes).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        }
        folder
    }

    fn secrets(&self) -> PathBuf {
        self.0.join("config/secrets")
    }

    fn places(&self) -> Places {
        Places::new(None, Some(&self.0.join("tree.yaml")), env)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "UK_SECRET_TOKEN" => "of the environment",
        "UK_SECRET_db_pass_word" => "hunter22",
        "UK_SECRET_NOTHING" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn a_secret_is_a_file_without_its_last_line_break_else_a_variable() {
    let folder = Folder::new(
        "values",
        &[
            ("A", b"alpha\n"),
            ("B", b"beta\r\n"),
            ("C", b" two\nlines\n\n"),
            ("D", b"delta"),
        ],
    );
    let places = folder.places();
    for (name, expected) in [
        ("A", "alpha"),
        ("B", "beta"),
        ("C", " two\nlines\n"),
        ("D", "delta"),
        ("TOKEN", "of the environment"),
        ("db-pass.word", "hunter22"),
    ] {
        assert_eq!(places.read(name).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn the_first_place_that_has_it_decides() {
    let beside = Folder::new("beside", &[("A", b"beside"), ("TOKEN", b"beside")]);
    let given = Folder::new("given", &[("A", b"given"), ("EMPTY", b"")]);
    let tree = beside.0.join("tree.yaml");
    let places = Places::new(Some(&given.secrets()), Some(&tree), env);

    assert_eq!(places.read("A").as_deref(), Ok("given"));
    assert_eq!(places.read("TOKEN").as_deref(), Ok("beside"));
    std::fs::write(beside.secrets().join("EMPTY"), "full").unwrap();
    assert!(places.read("EMPTY").is_err(), "it is not passed over");
}

#[test]
fn what_is_missing_is_told_with_all_places_and_what_cannot_be_used_with_its_own() {
    let large = vec![b'x'; SECRET_LEN_MAX + 1];
    let folder = Folder::new(
        "faults",
        &[
            ("EMPTY", b"\n"),
            ("BINARY", b"\xff\xfe"),
            ("LARGE", &large),
            ("LARGEST", &large[1..]),
        ],
    );
    std::fs::create_dir(folder.secrets().join("FOLDER")).unwrap();
    let (places, at) = (folder.places(), folder.secrets().display().to_string());
    assert!(places.read("LARGEST").is_ok());
    for (name, problem, texts) in [
        (
            "NONE",
            SecretProblem::Missing,
            [
                &*format!(
                    "{at}/NONE, for its owner alone (chmod 600), or set UK_SECRET_NONE; it is not in /run/secrets/NONE either"
                ),
                "or set UK_SECRET_NONE",
                "chmod 600",
            ],
        ),
        (
            "EMPTY",
            SecretProblem::Unusable,
            ["is empty", &at, "give it a value"],
        ),
        (
            "BINARY",
            SecretProblem::Unusable,
            ["is not UTF-8", &at, "base64"],
        ),
        (
            "LARGE",
            SecretProblem::Unusable,
            ["larger than 65536 bytes", &at, "file"],
        ),
        (
            "FOLDER",
            SecretProblem::Unusable,
            ["it is a folder", &at, "put a file"],
        ),
        (
            "NOTHING",
            SecretProblem::Unusable,
            ["is empty", "the variable UK_SECRET_NOTHING", ""],
        ),
    ] {
        let error = places.read(name).unwrap_err();
        assert_eq!(error.problem, problem, "{error}");
        for text in texts {
            assert!(error.to_string().contains(text), "{text}: {error}");
        }
        assert_eq!(places.look(name), Err(error));
    }
    let looked = places.to_look_at().read("NONE").unwrap_err();
    assert_eq!(looked.problem, SecretProblem::NotHere);
}

#[test]
fn a_file_that_others_can_read_is_told_of_unless_its_folder_is_closed() {
    let folder = Folder::new("open", &[("A", b"alpha"), ("B", b"beta")]);
    let places = folder.places();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&folder.secrets().join("A"), 0o644);

    let unwise = places.look("A").unwrap().unwrap();
    assert!(unwise.help.contains("chmod 600"), "{unwise:?}");
    assert_eq!(places.look("B"), Ok(None));
    assert_eq!(places.look("TOKEN"), Ok(None));

    mode(&folder.secrets(), 0o700);
    assert_eq!(places.look("A"), Ok(None));
}
