//! The small nodes together: started, connected, and told when to begin.

use super::Relay;
use super::node::{Said, Told, now};
use super::tally::Outcome;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long nodes may take to start and to meet.
const MEET_TIME: Duration = Duration::from_secs(60);

/// How long after the load's end answers may come.
const END_TIME: Duration = Duration::from_secs(60);

/// Sessions that a node opens, as in `[network]`.
const OUTBOUND: u16 = 8;

/// What is sent.
pub struct Load {
    pub nodes: u16,
    /// Shares a second of all nodes together; without it, messages as fast as they are taken.
    pub rate: Option<u32>,
    pub seconds: u32,
    pub strategy: Relay,
}

/// Running nodes. They end when this is dropped.
pub struct Crew {
    members: Vec<Member>,
    said: Receiver<(usize, String)>,
}

struct Member {
    child: Child,
    stdin: ChildStdin,
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Crew {
    /// Starts the nodes and lets them meet.
    pub fn start(load: &Load) -> Result<Self> {
        let (sender, said) = channel();
        let mut members = Vec::new();
        for number in 0..load.nodes {
            let mut child = command(load, number)?.spawn().context("a node does not start")?;
            let stdin = child.stdin.take().context("a node that cannot be told anything")?;
            let stdout = BufReader::new(child.stdout.take().context("a node that cannot say anything")?);
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    if sender.send((number.into(), line)).is_err() {
                        return;
                    }
                }
            });
            members.push(Member { child, stdin });
        }
        let mut crew = Self { members, said };
        crew.meet(load)?;
        Ok(crew)
    }

    fn meet(&mut self, load: &Load) -> Result<()> {
        let deadline = Instant::now() + MEET_TIME;
        let mut addresses = vec![None; self.members.len()];
        while addresses.iter().any(Option::is_none) {
            if let (number, Said::Listens(address)) = self.hear(deadline)? {
                addresses[number] = Some(address);
            }
        }
        let mut sessions = 0;
        for number in 0..self.members.len() {
            for other in called(number, load.nodes) {
                let address = addresses[other].clone().context("all listen")?;
                self.tell(number, &Told::Call(address))?;
                sessions += 2;
            }
        }
        let mut peers = vec![0; self.members.len()];
        while peers.iter().sum::<usize>() < sessions {
            let heard = self.hear(deadline).with_context(|| format!("{sessions} sessions should be, {peers:?} are"))?;
            if let (number, Said::Peers(count)) = heard {
                peers[number] = count;
            }
        }
        Ok(())
    }

    /// Lets all begin at one moment, and returns what each saw.
    pub fn run(mut self, load: &Load) -> Result<Vec<Outcome>> {
        let begin = now() + Duration::from_secs(1);
        for number in 0..self.members.len() {
            self.tell(number, &Told::Begin(begin))?;
        }
        let deadline = Instant::now() + Duration::from_secs(load.seconds.into()) + END_TIME;
        let mut outcomes = vec![None; self.members.len()];
        while outcomes.iter().any(Option::is_none) {
            match self.hear(deadline)? {
                (number, Said::Saw(outcome)) => outcomes[number] = Some(outcome),
                (number, Said::Peers(count)) => bail!("node {number} has lost a peer: {count} are left"),
                _ => {}
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn tell(&mut self, number: usize, told: &Told) -> Result<()> {
        let mut line = serde_json::to_string(told)?;
        line.push('\n');
        self.members[number].stdin.write_all(line.as_bytes()).with_context(|| format!("node {number} has ended"))
    }

    fn hear(&mut self, deadline: Instant) -> Result<(usize, Said)> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (number, line) = self.said.recv_timeout(left).context("the nodes do not answer in time")?;
        Ok((number, serde_json::from_str(&line).with_context(|| format!("node {number} said {line:?}"))?))
    }
}

fn command(load: &Load, number: u16) -> Result<Command> {
    let program = std::env::current_exe().context("where this program lies is not known")?;
    let strategy = load.strategy.to_possible_value().context("every strategy has a name")?;
    let mut command = Command::new(program);
    command.args(["bench", "net-node", "--strategy", strategy.get_name()]);
    command.args(["--number", &number.to_string(), "--nodes", &load.nodes.to_string()]);
    command.args(["--seconds", &load.seconds.to_string()]);
    if let Some(rate) = load.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    ensure!(load.nodes >= 2, "one node has nobody to talk to");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// Returns whom a node calls: everybody who was started before it, or as many of them as a node calls, spread evenly from the last one down.
fn called(number: usize, nodes: u16) -> Vec<usize> {
    if nodes <= OUTBOUND + 2 {
        return (0..number).collect();
    }
    let wanted = usize::from(OUTBOUND).min(number);
    (0..wanted).map(|place| number - 1 - place * number / wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn nobody_calls_twice_or_itself_and_nobody_is_called_by_too_many() {
        let mut inbound = [0; 50];
        for number in 0..50 {
            let mut others = called(number, 50);
            others.iter().for_each(|other| inbound[*other] += 1);
            others.sort_unstable();
            others.dedup();
            assert_eq!(others.len(), number.min(8));
            assert!(others.iter().all(|other| *other < number));
        }
        assert!(inbound.iter().all(|count| *count <= 40), "{inbound:?}");
    }
}
