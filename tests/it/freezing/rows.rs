//! A client that writes one row after another to a database, and knows which was acknowledged last.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::{PointInTime, Scene, sh};

/// Rows with numbers from 1 on.
pub(super) struct Rows {
    pub(super) acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rows {
    /// Through a program that takes a line for each row and answers it by one line.
    pub(super) fn through(mut client: Command, row: impl Fn(u64) -> String + Send + 'static) -> Self {
        let (acknowledged, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counts, stops) = (Arc::clone(&acknowledged), Arc::clone(&ends));
        let mut session: Child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut to, from) = (session.stdin.take().unwrap(), BufReader::new(session.stdout.take().unwrap()));
            let mut answers = from.lines();
            for n in 1_u64.. {
                let asked = writeln!(to, "{}", row(n));
                let answer = asked.ok().and_then(|()| answers.next()?.ok());
                if stops.load(Ordering::SeqCst) || answer.is_none_or(|answer| answer != n.to_string()) {
                    break;
                }
                counts.store(n, Ordering::SeqCst);
            }
            drop(to);
            let _ = session.kill();
            let _ = session.wait();
        });
        let rows = Self { acknowledged, ends, thread: Some(thread) };
        rows.flow_again();
        rows
    }

    fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Further rows are acknowledged.
    pub(super) fn flow_again(&self) {
        let (until, mut tries) = (self.count() + 5, 0);
        while self.count() < until {
            sh("sleep 0.05");
            tries += 1;
            assert!(tries < 1_200, "no row is acknowledged for a minute");
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Scene {
    /// Has the XFS copied at the next point in time of any volume, all of which are taken while everything stands still.
    /// What is handed out becomes the last row that had been acknowledged by then.
    pub(super) fn copy_xfs_once(&self, rows: &Rows) -> Arc<AtomicU64> {
        let (image, noted) = (self.disks.image("xfs"), Arc::new(AtomicU64::new(0)));
        let (acknowledged, at_the_copy) = (Arc::clone(&rows.acknowledged), Arc::clone(&noted));
        self.site.world.on_point_in_time(move |_: &PointInTime| {
            if at_the_copy.swap(acknowledged.load(Ordering::SeqCst), Ordering::SeqCst) == 0 {
                sh(&format!("cp --reflink=always --sparse=auto {0} {0}.copy", image.display()));
            }
        });
        noted
    }
}
