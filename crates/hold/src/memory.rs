//! Giving memory back to the system that is free and will not be needed soon.
//!
//! It is here because this is the one crate that may have unsafe code; holding still has nothing to do with it.
//!
//! A daemon that read ten thousand policies, or listed ten thousand instances, rests for hours after that. glibc keeps most
//! of what was freed between what is still in use: in an arena for each thread, and in its heap for as long as anything above
//! is in use. Other allocators give it back by themselves, but map far more than they use, and the guard of a hold is the
//! same program and locks all that it has mapped (`guard/setup.rs`). With another C library than glibc nothing is done here.
#![expect(unsafe_code, reason = "the settings of the C library's allocator are in no safe interface")]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// From this size on a buffer is mapped by itself and given back when it is freed, and as much may be free at the top of
    /// the heap. It is glibc's own default; what is set here is that it stays, since glibc would raise it to the size of the
    /// largest answer of EC2 that was ever freed.
    const LARGE: libc::c_int = 128 * 1024;

    pub(super) fn settle() {
        for (parameter, value) in
            [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)]
        {
            // SAFETY: mallopt(3) takes two numbers and locks what it changes. One that it refuses changes nothing.
            unsafe { libc::mallopt(parameter, value) };
        }
    }

    pub(super) fn give_back() {
        // SAFETY: malloc_trim(3) takes a number, locks each arena that it looks at, and moves nothing that is in use.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Settles for the whole process that threads share one heap and that large buffers are given back when they are freed. To be
/// called before there is a second thread.
pub fn settle_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::settle();
}

/// Gives back to the system what is free by now. It takes milliseconds for each hundred megabytes.
pub fn give_back_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::give_back();
}
