//! Classification of addresses: public internet or not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 networks that are not global unicast, after the IANA IPv4 Special-Purpose Address
/// Registry, with multicast (RFC 5771) and class E. 169.254.169.254 and 100.100.100.200, the
/// metadata services of clouds, are within.
const NOT_PUBLIC_V4: [&str; 16] = [
    "0.0.0.0/8",        // this network; 0.0.0.0 reaches this machine
    "10.0.0.0/8",       // private
    "100.64.0.0/10",    // carrier-grade NAT
    "127.0.0.0/8",      // loopback
    "168.63.129.16/32", // Azure's host, which is not in the registry
    "169.254.0.0/16",   // link-local
    "172.16.0.0/12",    // private
    "192.0.0.0/24",     // protocol assignments
    "192.0.2.0/24",     // documentation
    "192.88.99.0/24",   // 6to4 relays
    "192.168.0.0/16",   // private
    "198.18.0.0/15",    // benchmarks
    "198.51.100.0/24",  // documentation
    "203.0.113.0/24",   // documentation
    "224.0.0.0/4",      // multicast
    "240.0.0.0/4",      // reserved, and broadcast
];

/// Global unicast, the only part of IPv6 that is allocated to the internet (RFC 4291). Unique
/// local (fd00:ec2::254 included), link-local, multicast, `::1`, `::` and the IPv4-compatible
/// `::a.b.c.d` are all outside.
const PUBLIC_V6: &str = "2000::/3";

/// The networks inside `PUBLIC_V6` that are not global: the IANA IPv6 Special-Purpose Address
/// Registry.
const NOT_PUBLIC_V6: [&str; 4] = [
    "2001::/23",     // protocol assignments, Teredo included
    "2001:db8::/32", // documentation
    "2002::/16",     // 6to4, which holds an IPv4 address
    "3fff::/20",     // documentation
];

/// NAT64 (RFC 6052): the last four bytes are an IPv4 address. In networks that have only IPv6
/// the whole IPv4 internet is here, so that address decides.
const NAT64: &str = "64:ff9b::/96";

struct Networks {
    not_public_v4: Vec<Ipv4Net>,
    public_v6: Vec<Ipv6Net>,
    not_public_v6: Vec<Ipv6Net>,
    nat64: Vec<Ipv6Net>,
}

static NETWORKS: LazyLock<Networks> = LazyLock::new(|| Networks {
    // A test reads them all.
    not_public_v4: NOT_PUBLIC_V4
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect(),
    public_v6: PUBLIC_V6.parse().into_iter().collect(),
    not_public_v6: NOT_PUBLIC_V6
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect(),
    nat64: NAT64.parse().into_iter().collect(),
});

/// The form of an address that is judged: IPv4 inside IPv6 (mapped, NAT64) becomes IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    if NETWORKS.nat64.iter().any(|net| net.contains(&v6)) {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address
}

/// Returns true if a canonical address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    !NETWORKS.not_public_v4.iter().any(|net| net.contains(&v4))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let networks = &*NETWORKS;
    networks.public_v6.iter().any(|net| net.contains(&v6))
        && !networks.not_public_v6.iter().any(|net| net.contains(&v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_read() {
        assert_eq!(NETWORKS.not_public_v4.len(), NOT_PUBLIC_V4.len());
        assert_eq!(NETWORKS.not_public_v6.len(), NOT_PUBLIC_V6.len());
        assert_eq!(NETWORKS.public_v6.len() + NETWORKS.nat64.len(), 2);
    }

    #[test]
    fn special_addresses_are_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(!is_public(canonical(address)), "{address}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(is_public(canonical(address)), "{address}");
        }
    }
}
