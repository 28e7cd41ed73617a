use super::super::*;
use super::world::*;
#[test]
fn smoke() {
    for t in [
        "tls.present && tls.sni != destination.host",
        "destination.port == 443 && request.protocol != \"http\" && !tls.present",
        "!destination.tags.exists(t, t == \"dpa-signed\")",
        "(destination.port) == (443) || (tls.ech)",
        "identity.labels[\"énv\"] == 'x' && destination.prt == 2",
        "destination.host == \"API.Stripe.com\" && destination.port == \"443\" || foo(1) && tls.ja4 == 'x' && tls.sni",
        "destination.host.endsWith('stripe.com') && destination.host.matches('^a|b$')",
        "ip('::ffff:1.2.3.4') == source.ip && cidr('10.0.0.1/8').containsIP(dns.answers)",
        "a = 1",
        "a and b",
        "(a",
        "tls.present &&",
        "1.5 == 2",
        "[1,2].map(x, x) == 3",
        "if(1)",
        "- - 1 == 1",
        "has(tls.sni)",
        "has(identity.labels.env) && 'x' in identity.labels",
        "99999999999999999999 == 1",
        "'\\q' == 'x'",
    ] {
        println!("--- {t}");
        match Expr::parse(t) {
            Ok(e) => println!("{:?} {:?} {:?}\n{e:?}", e.eval(&tunnel(), Reading::Registered), e.uses(), e.host_keys()),
            Err(ps) => {
                for p in ps {
                    println!("  {:?} `{}` {} | {:?}", p.range, &t[p.range.clone()], p.message, p.help)
                }
            }
        }
    }
}
