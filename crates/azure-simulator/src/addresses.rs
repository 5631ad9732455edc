//! The addresses of a subnet, in Azure's order: the lowest free address first, so that a released address
//! goes to the next group at once. Azure reserves the first four and the last address of a subnet
//! (<https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq>).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A subnet and the holders of its addresses.
#[derive(Debug)]
pub(super) struct AddressPool {
    first: u32,
    last: u32,
    taken: BTreeSet<u32>,
}

impl AddressPool {
    /// Parses `10.1.5.0/24`. `None` if Azure would not accept the subnet (/8 to /29).
    pub(super) fn parse(cidr: &str) -> Option<Self> {
        let (network, prefix) = cidr.split_once('/')?;
        let network = u32::from(network.parse::<Ipv4Addr>().ok()?);
        let prefix = prefix.parse::<u32>().ok().filter(|prefix| (8..=29).contains(prefix))?;
        let size = 1_u32 << (32 - prefix);
        network.is_multiple_of(size).then(|| Self {
            first: network + 4,
            last: network + size - 2,
            taken: BTreeSet::new(),
        })
    }

    /// Assigns the lowest free address; `unlike` only if there is no other.
    pub(super) fn take_lowest(&mut self, unlike: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let unlike = unlike.map(u32::from);
        let free = |address: &u32| !self.taken.contains(address);
        let address = (self.first..=self.last)
            .filter(free)
            .find(|address| Some(*address) != unlike)
            .or_else(|| (self.first..=self.last).find(free))?;
        self.taken.insert(address);
        Some(Ipv4Addr::from(address))
    }

    /// The range as given.
    pub(super) fn cidr(&self) -> String {
        let size = self.last - self.first + 6;
        format!("{}/{}", Ipv4Addr::from(self.first - 4), size.leading_zeros() + 1)
    }

    /// Assigns this address, even if another group holds it.
    pub(super) fn take(&mut self, address: Ipv4Addr) {
        self.taken.insert(u32::from(address));
    }

    pub(super) fn release(&mut self, address: Ipv4Addr) {
        self.taken.remove(&u32::from(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut AddressPool) -> String {
        pool.take_lowest(None).map_or_else(|| "none".to_owned(), |address| address.to_string())
    }

    #[test]
    fn the_first_four_addresses_and_the_last_are_azures_own() {
        let mut pool = AddressPool::parse("10.1.5.0/29").unwrap();
        let handed_out: Vec<_> = (0..4).map(|_| take(&mut pool)).collect();
        assert_eq!(handed_out, ["10.1.5.4", "10.1.5.5", "10.1.5.6", "none"]);
    }

    #[test]
    fn a_released_address_is_assigned_next() {
        let mut pool = AddressPool::parse("10.1.5.0/24").unwrap();
        assert_eq!([take(&mut pool), take(&mut pool)], ["10.1.5.4", "10.1.5.5"]);
        pool.release(Ipv4Addr::new(10, 1, 5, 4));
        assert_eq!([take(&mut pool), take(&mut pool)], ["10.1.5.4", "10.1.5.6"]);
    }

    #[test]
    fn a_moving_group_gets_another_address_while_there_is_one() {
        let mut pool = AddressPool::parse("10.1.5.0/29").unwrap();
        let former = Some(Ipv4Addr::new(10, 1, 5, 4));
        assert_eq!(pool.take_lowest(former), Some(Ipv4Addr::new(10, 1, 5, 5)));
        pool.take(Ipv4Addr::new(10, 1, 5, 6));
        assert_eq!(pool.take_lowest(former), former);
    }

    #[test]
    fn a_subnet_is_displayed_as_given() {
        for cidr in ["10.0.0.0/8", "10.1.4.0/22", "10.1.5.0/24", "10.1.5.8/29"] {
            assert_eq!(AddressPool::parse(cidr).unwrap().cidr(), cidr);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for cidr in ["10.1.5.0", "10.1.5.0/30", "10.1.5.1/24", "10.1.5.0/x", "fd00::/64", ""] {
            assert!(AddressPool::parse(cidr).is_none(), "{cidr}");
        }
    }
}
