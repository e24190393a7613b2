//! Partitions: children that share a load by key.

use super::*;

impl Kernel {
    /// The partition of the supervisor at `path` that takes what has this key: an integer by its absolute value modulo
    /// the number of partitions, anything else by a hash of its JSON, which is the same on every machine. As long as
    /// their number stays, so does the partition of a key.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such supervisor, its children are no partitions, or none takes keys.
    pub fn partition(&self, path: &ActorPath, key: &Value) -> Result<ActorPath, KernelError> {
        let (supervisor, _) = self.partitioned(path)?;
        let count = supervisor
            .supervisor()
            .map_or(0, |body| body.partitions.load(Ordering::Acquire));
        let number = key
            .as_i64()
            .map(i64::unsigned_abs)
            .or_else(|| key.as_u64())
            .unwrap_or_else(|| hash(key.to_string().as_bytes()));
        match number.checked_rem(count.into()) {
            Some(number) => Ok(path.child(&ChildId::number(number))),
            None => Err(KernelError::NoPartition(path.clone())),
        }
    }

    /// The typed address of that partition.
    ///
    /// # Errors
    /// [`KernelError`] as for [`partition`](Self::partition), and if it does not receive `M`.
    pub fn partition_address<M: Message>(
        &self,
        path: &ActorPath,
        key: &Value,
    ) -> Result<Address<M>, KernelError> {
        let at = self.partition(path, key)?;
        self.address(&at).ok_or(KernelError::NotFound(at))
    }

    /// Has only the first `count` partitions take keys; the others are stopped, and stay to be started again by a later
    /// resize. Returns how many it was before.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such supervisor, its children are no partitions, it was made with fewer, or one does
    /// not stop or start: those before it are resized then.
    pub async fn resize(&self, path: &ActorPath, count: u32) -> Result<u32, KernelError> {
        let (supervisor, most) = self.partitioned(path)?;
        if count > most {
            let path = path.clone();
            return Err(KernelError::TooManyPartitions { path, most });
        }
        let Some(body) = supervisor.supervisor() else {
            return Err(KernelError::NotASupervisor(path.clone()));
        };
        let child = |number: u32| path.child(&ChildId::number(number.into()));
        let before = body.partitions.load(Ordering::Acquire);
        for number in before..count {
            match self.start_child(&child(number)).await {
                Ok(_)
                | Err(KernelError::Refused {
                    error: RequestError::Running,
                    ..
                }) => body.partitions.store(number + 1, Ordering::Release),
                Err(error) => return Err(error),
            }
        }
        for number in (count..before).rev() {
            // No key leads there any more before it stops.
            body.partitions.store(number, Ordering::Release);
            self.stop(&child(number)).await?;
        }
        Ok(before)
    }

    /// The slot of a supervisor whose children are partitions, and how many they are.
    fn partitioned(&self, path: &ActorPath) -> Result<(Arc<Slot>, u32), KernelError> {
        let slot = self.slot(path)?;
        let spec = slot.spec();
        let Some(spec) = spec.as_supervisor() else {
            return Err(KernelError::NotASupervisor(path.clone()));
        };
        match spec.partitions {
            Some(most) => Ok((slot, most)),
            None => Err(KernelError::NotPartitioned(path.clone())),
        }
    }
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo): plain, and fixed for all time.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
