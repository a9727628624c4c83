//! Jitter: the spread of starts, the same for an instance every night.

use jiff::SignedDuration;

use crate::id::{InstanceId, PolicyName};

/// How long after the nominal time this instance starts: a stable hash of policy and instance, from zero up to and
/// including `jitter`, in milliseconds.
///
/// The hash is FNV-1a over both names with a final mix, fixed for good: another release must not move anybody's
/// backup to another minute. It spreads load and guards nothing, so it need not resist an attacker.
pub fn start_delay(policy: &PolicyName, instance: &InstanceId, jitter: SignedDuration) -> SignedDuration {
    let Ok(jitter_ms) = u64::try_from(jitter.as_millis()) else { return SignedDuration::ZERO };
    let spread = stable_hash(&[policy.as_str(), instance.as_str()]) % (jitter_ms + 1);
    SignedDuration::from_millis(i64::try_from(spread).unwrap_or(i64::MAX))
}

/// FNV-1a over the parts, each ended by a byte that no part contains, then the finaliser of `MurmurHash3`, without
/// which neighbouring instance ids would land in neighbouring seconds.
pub fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0xff])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_of_an_instance_never_changes() {
        let policy: PolicyName = "db-nightly".parse().unwrap();
        let instance: InstanceId = "i-0123456789abcdef0".parse().unwrap();
        let delay = start_delay(&policy, &instance, SignedDuration::from_mins(10));
        // Frozen: a change of this figure moves backups in running installations.
        assert_eq!(delay, SignedDuration::from_millis(579_831));
        assert_eq!(start_delay(&policy, &instance, SignedDuration::ZERO), SignedDuration::ZERO);
    }

    #[test]
    fn delays_use_the_whole_spread() {
        let policy: PolicyName = "db-nightly".parse().unwrap();
        let mut per_minute = [0_u32; 10];
        for n in 0..1_000_u32 {
            let instance: InstanceId = format!("i-{n:017x}").parse().unwrap();
            let delay = start_delay(&policy, &instance, SignedDuration::from_secs(599));
            per_minute[usize::try_from(delay.as_secs() / 60).unwrap()] += 1;
        }
        assert!(per_minute.iter().all(|n| (60..140).contains(n)), "{per_minute:?}");
    }
}
