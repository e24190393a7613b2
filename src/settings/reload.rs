//! A wish that the files are looked at again, and applied.

use tokio::sync::Notify;

/// Found by its type with `kernel.shared::<ReloadBell>()`. Rung by SIGHUP, or by the program that embeds the kernel; whoever applies the files waits for it.
///
/// It holds one wish: rung twice before somebody waits is rung once, and none is lost with a life of who waits.
#[derive(Debug, Default)]
pub struct ReloadBell(Notify);

impl ReloadBell {
    /// Wishes that the files are looked at again.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for a wish, and takes it.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
