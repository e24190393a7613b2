//! The embedded store on the real disk.

use super::*;
use unity_supervisors::stream::conformance;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("uk-streams-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn embedded_streams_are_streams() {
    let folder = Folder::new("conformance");
    let count = std::sync::atomic::AtomicUsize::new(0);

    conformance::all(async |clock| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = folder.0.join(number.to_string());
        EmbeddedStreams::open(folder, clock, Options::default()).unwrap() as _
    })
    .await;
}
