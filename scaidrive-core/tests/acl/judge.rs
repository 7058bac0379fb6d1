//! An outside judge: Samba's own access check, on chains flattened to a security descriptor in canonical order.
//!
//! Nearer before farther, at each level denies before allows; the role is the last allow, left out below a fence
//! except for managers; the share's owner is the descriptor's owner, who can always change the list (`WRITE_DAC`,
//! our MANAGE_PERMISSIONS). Tenant administrators stand outside it.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use scaidrive_core::model::{Right, ShareRole};

use crate::reference::{Entry, Scenario, Who, scenario};

/// Chains judged.
const CHAINS: usize = 100_000;

/// Returns the bits that a right is to Windows: READ_DATA, WRITE_DATA, DELETE, CREATE (APPEND_DATA), one of its own
/// for SHARE (FILE_EXECUTE), WRITE_DAC.
fn mask(rights: u8) -> u32 {
    let bits = [0x1, 0x2, 0x1_0000, 0x4, 0x20, 0x4_0000];
    (0..6).filter(|bit| rights & (1 << bit) != 0).map(|bit| bits[bit]).sum()
}

fn sid(who: Who) -> String {
    match who {
        Who::Me => "S-1-5-21-1-2-3-1001".to_owned(),
        Who::MyGroup(number) => format!("S-1-5-21-1-2-3-{}", 2001 + number),
        Who::Other => "S-1-5-21-1-2-3-3001".to_owned(),
        Who::Everyone => "S-1-1-0".to_owned(),
    }
}

fn ace(entry: &Entry) -> String {
    let kind = if entry.allows { "A" } else { "D" };
    format!("({kind};;0x{:x};;;{})", mask(entry.rights), sid(entry.who))
}

/// Returns the descriptor; entries of principals whose membership has run out are not in force, so not in it.
fn sddl(scenario: &Scenario) -> String {
    let in_force = |who: Who| !scenario.members.iter().any(|member| member.who == who && member.is_expired);
    let owner = if scenario.owns { Who::Me } else { Who::Other };
    let mut text = format!("O:{}G:{}D:", sid(owner), sid(Who::Other));
    let mut is_fenced = false;
    for (distance, resource) in scenario.line.iter().rev().enumerate() {
        let counts = |entry: &&Entry| in_force(entry.who) && (distance == 0 || entry.inherits);
        let entries: Vec<&Entry> = resource.entries.iter().filter(counts).collect();
        entries.iter().filter(|entry| !entry.allows).for_each(|entry| text += &ace(entry));
        entries.iter().filter(|entry| entry.allows).for_each(|entry| text += &ace(entry));
        if !resource.inherits {
            is_fenced = true;
            break;
        }
    }
    if let Some(role) = scenario.role().filter(|role| !is_fenced || role.is_manager()) {
        text += &format!("(A;;0x{:x};;;{})", mask(role.rights().bits()), sid(Who::Me));
    }
    text
}

fn has_samba(python: &str) -> bool {
    let probe = Command::new(python).args(["-c", "import samba.security"]).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

#[test]
fn samba_decides_the_same() {
    // The system's own interpreter: a package of the system is for that one.
    let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(|python| has_samba(python)) else {
        eprintln!("SKIPPED: samba's access check (package python3-samba) is not here to judge");
        return;
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"scaidrive asks samba, every time");
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/acl/judge.py");
    let mut judge =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = std::io::BufWriter::new(judge.stdin.take().unwrap());
    let asking = std::thread::spawn(move || {
        let strategy = scenario();
        let (mut scenarios, mut owners) = (Vec::with_capacity(CHAINS), 0);
        while scenarios.len() < CHAINS {
            let scenario = strategy.new_tree(&mut runner).unwrap().current();
            if scenario.is_tenant_admin {
                continue;
            }
            owners += usize::from(scenario.role() == Some(ShareRole::Owner));
            let decided = scenario.decided();
            let answers: String =
                Right::ALL.iter().map(|right| if decided.has(*right) { '1' } else { '0' }).collect();
            writeln!(input, "{answers} {}", sddl(&scenario)).unwrap();
            scenarios.push(scenario);
        }
        drop(input);
        (scenarios, owners)
    });
    let told = judge.wait_with_output().unwrap();
    let (scenarios, owners) = asking.join().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut lines = told.lines();
    let summary = lines.next_back().unwrap_or_default();
    let first: Vec<&str> = lines.take(5).collect();
    if let Some(number) = first.first().and_then(|line| line.split(' ').next()?.parse::<usize>().ok()) {
        panic!("samba disagrees:\n{}\n{:#?}", first.join("\n"), scenarios[number]);
    }
    assert_eq!(summary, format!("judged {CHAINS} chains, {} questions, 0 disagreements", 6 * CHAINS));
    eprintln!("samba {summary}; {owners} by owners");
}
