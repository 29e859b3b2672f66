//! Kaspa's recorded DAGs: lines of JSON as its two node programs write them.
//!
//! A line is a block with its header, in the words of the Go program (`Header`, `Parents[].ParentHashes`) or of the Rust program
//! (`header`, `parentsByLevel`); the first line may hold the network's parameters instead, which `chain.toml` has. A header becomes the
//! bytes that its id is the hash of, which is the form that `ghostdag` reads with `header = "kaspa"`.

use super::file::parse_hex;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    #[serde(alias = "Header")]
    header: Option<Header>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(alias = "Version")]
    version: u16,
    #[serde(alias = "Parents", alias = "parentsByLevel")]
    parents: Vec<Level>,
    #[serde(alias = "HashMerkleRoot")]
    hash_merkle_root: String,
    #[serde(alias = "AcceptedIDMerkleRoot")]
    accepted_id_merkle_root: String,
    #[serde(alias = "UTXOCommitment")]
    utxo_commitment: String,
    #[serde(alias = "Timestamp")]
    timestamp: u64,
    #[serde(alias = "Bits")]
    bits: u32,
    #[serde(alias = "Nonce")]
    nonce: u64,
    #[serde(alias = "DAAScore")]
    daa_score: u64,
    #[serde(alias = "BlueScore")]
    blue_score: u64,
    #[serde(alias = "BlueWork")]
    blue_work: String,
    #[serde(alias = "PruningPoint")]
    pruning_point: String,
}

/// The parents of one level.
#[derive(Deserialize)]
#[serde(untagged)]
enum Level {
    Plain(Vec<String>),
    Named {
        #[serde(rename = "ParentHashes")]
        parent_hashes: Vec<String>,
    },
}

/// Reads the header of every line. Returns the number of the first line that has one, from 1, and the headers.
pub fn headers(text: &str) -> Result<(u64, Vec<Vec<u8>>)> {
    let mut first = 1;
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).with_context(|| format!("line {number} is no block"))?;
        match line.header {
            Some(header) => headers.push(encode(&header).with_context(|| format!("the header of line {number}"))?),
            None if number == 1 => first = 2,
            None => bail!("line {number} has no header"),
        }
    }
    if headers.is_empty() {
        bail!("there is no line with a header");
    }
    Ok((first, headers))
}

/// Writes a header as its id is computed over it: integers little-endian, lengths of 64 bits.
fn encode(header: &Header) -> Result<Vec<u8>> {
    let mut out = header.version.to_le_bytes().to_vec();
    put_length(&mut out, header.parents.len());
    for level in &header.parents {
        let (Level::Plain(ids) | Level::Named { parent_hashes: ids }) = level;
        put_length(&mut out, ids.len());
        for id in ids {
            put_hash(&mut out, id)?;
        }
    }
    for root in [&header.hash_merkle_root, &header.accepted_id_merkle_root, &header.utxo_commitment] {
        put_hash(&mut out, root)?;
    }
    out.extend(header.timestamp.to_le_bytes());
    out.extend(header.bits.to_le_bytes());
    for number in [header.nonce, header.daa_score, header.blue_score] {
        out.extend(number.to_le_bytes());
    }
    let work = trimmed_bytes(&header.blue_work)?;
    put_length(&mut out, work.len());
    out.extend(work);
    put_hash(&mut out, &header.pruning_point)?;
    Ok(out)
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as u64).to_le_bytes());
}

fn put_hash(out: &mut Vec<u8>, text: &str) -> Result<()> {
    match parse_hex(text) {
        Some(bytes) if bytes.len() == 32 => out.extend(bytes),
        _ => bail!("{text:?} is not a hash of 64 hexadecimal digits"),
    }
    Ok(())
}

/// Reads a number in hexadecimal digits as big-endian bytes without leading zeros.
fn trimmed_bytes(text: &str) -> Result<Vec<u8>> {
    let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    let bytes = parse_hex(&even).with_context(|| format!("{text:?} is not a number in hexadecimal digits"))?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

    fn line(parents: &str, work: &str) -> String {
        format!(
            r#"{{"Header":{{"Version":1,"Parents":{parents},"HashMerkleRoot":"{HASH}","AcceptedIDMerkleRoot":"{HASH}","UTXOCommitment":"{HASH}","Timestamp":2,"Bits":3,"Nonce":4,"DAAScore":5,"BlueScore":6,"BlueWork":"{work}","PruningPoint":"{HASH}"}}}}"#
        )
    }

    #[test]
    fn both_ways_to_write_parents_give_the_same_bytes() {
        let plain = headers(&line(&format!(r#"[["{HASH}"]]"#), "102")).unwrap().1;
        let named = headers(&line(&format!(r#"[{{"ParentHashes":["{HASH}"]}}]"#), "000102")).unwrap().1;
        assert_eq!(plain, named);
        assert_eq!(plain[0].len(), 2 + 8 + 8 + 32 + 3 * 32 + 8 + 4 + 3 * 8 + 8 + 2 + 32);
    }

    #[test]
    fn no_work_is_written_as_no_bytes() {
        let with = headers(&line("[]", "1")).unwrap().1.remove(0);
        let without = headers(&line("[]", "0")).unwrap().1.remove(0);
        assert_eq!(with.len(), without.len() + 1);
    }

    #[test]
    fn parameters_may_stand_in_the_first_line_alone() {
        let block = line("[]", "1");
        let (first, found) = headers(&format!("{{\"K\":6}}\n{block}")).unwrap();
        assert_eq!((first, found.len()), (2, 1));
        let error = headers(&format!("{block}\n{{\"K\":6}}")).unwrap_err();
        assert_eq!(error.to_string(), "line 2 has no header");
    }

    #[test]
    fn a_hash_of_another_length_is_named_with_its_line() {
        let error = headers(&line(r#"[["00ff"]]"#, "1")).unwrap_err();
        assert_eq!(error.to_string(), "the header of line 1");
        assert_eq!(error.root_cause().to_string(), "\"00ff\" is not a hash of 64 hexadecimal digits");
    }
}
