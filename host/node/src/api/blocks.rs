//! Work for miners, the blocks that they find, and the chain made of them.

use super::ApiState;
use super::body::{JsonBody, QueryPart};
use super::error::{ApiError, ErrorBody};
use super::shapes::{self, Hex, TransactionBody, WorkBody, decimal, difficulty_number, parse, seconds, time_of};
use super::space::SpaceBody;
use crate::chain::{BlockParts, Client, PartialDraft, Proof, Solved, SubmitError, Taken, WorkError};
use crate::server::ClientAddress;
use adit_chain::index::IndexedBlock;
use adit_chain::{Block, BlockError, PageLimits, TemplateError, TemplateRequest, WorkTemplate};
use adit_primitives::contract::space::SpaceProof;
use adit_primitives::contract::{HeaderView, MergedBlock, PowInput, Template};
use adit_primitives::{Amount, BlockId, Decode, Hash256, Height};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::{IntoParams, ToSchema};

/// The most bytes that a miner may have put into the coinbase.
pub const EXTRA_BYTES_MAX: usize = 32;

/// The most characters of a miner's own name for its program.
const CLIENT_VERSION_MAX: usize = 64;

/// The most blocks on a page of the chain, and how many without a wish.
pub const PAGE_MAX: usize = 500;
const PAGE: usize = 50;

/// Bytes of the blocks on a page, or of transactions: as JSON they are some three times as large. One larger block is a page of its own.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Asks for work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MineBlockRequest {
    /// Who is paid.
    pub miner_address: String,
    /// The miner's program, at most 64 characters.
    #[serde(default)]
    pub client_version: Option<String>,
    /// The miner's clock, in seconds since 1970.
    #[serde(default)]
    pub timestamp: Option<f64>,
    /// The miner's own bytes in the coinbase, as hex, at most 32: miners of one address who choose different ones never try the same input.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub extra: Option<Hex>,
    /// Leaves the transactions out of the answer: `template_id` and a nonce are enough to submit.
    #[serde(default)]
    pub compact: bool,
}

/// Work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MineBlockResponse {
    /// `template_created`.
    pub status: String,
    pub block_template: BlockTemplate,
    #[schema(value_type = f64)]
    pub target_difficulty: Number,
    pub mining_metadata: MiningMetadata,
}

/// A block without its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockTemplate {
    /// What a compact submission names.
    pub template_id: u64,
    /// The state of the chain that it continues: once `/status` shows another, the template is stale.
    pub state_version: u64,
    pub index: u64,
    pub previous_hash: String,
    /// The coinbase first. Left out in a compact template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<TransactionBody>>,
    /// The time in the header, in seconds since 1970.
    pub timestamp: f64,
    /// When a fresh template should be asked for, in seconds since 1970.
    pub expires: f64,
    #[schema(value_type = f64)]
    pub target_difficulty: Number,
    /// The difficulty in the header's own coding.
    pub bits: u32,
    pub merkle_root: String,
    /// Whether further finds of this template are blocks of their own, and no rivals of the first: the chain merges parallel blocks.
    #[serde(default)]
    pub parallel: bool,
    /// Whether every find counts as a share, and `work` has the target of one: the template is a pool's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares: bool,
    /// The header without its proof, as hex.
    #[schema(value_type = String)]
    pub header: Hex,
    pub work: WorkBody,
    /// What farmers are asked, on a chain whose blocks are won by plots. `work` has no bytes then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<SpaceBody>,
}

/// What the block is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MiningMetadata {
    /// The coinbase not counted.
    pub transaction_count: usize,
    pub total_fees: String,
    pub total_fees_atoms: u64,
    /// What the block creates, fees not counted.
    pub block_reward: String,
    pub block_reward_atoms: u64,
}

/// A block that a miner found: either `template_id` and `nonce`, or every part. `hash` is never believed: the node computes it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SubmitBlockRequest {
    pub nonce: u64,
    /// The rolled word as it was hashed, where the chain lets miners roll one. Without it, as the template has it.
    pub rolled: Option<u32>,
    /// In the place of `nonce` where plots win blocks: a claim and its signature, packed as the plugin contract has `space-proof`, as hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub space_proof: Option<Hex>,
    /// Compact form: the template that was solved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merkle_root: Option<String>,
    /// The time in the header, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_difficulty: Option<f64>,
    /// The difficulty in the header's own coding; without it, the one that the rules ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// The coinbase first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<TransactionBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miner_address: Option<String>,
    #[serde(rename = "_mining_metadata", skip_serializing_if = "Option::is_none")]
    pub mining_metadata: Option<ReportedMining>,
}

/// What a miner says of its search. Nothing depends on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ReportedMining {
    pub mining_duration: Option<f64>,
    pub hash_attempts: Option<u64>,
    pub hash_rate: Option<f64>,
    pub worker_id: Option<u32>,
}

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitBlockResponse {
    pub status: SubmitStatus,
    pub message: String,
    pub block_index: u64,
    pub hash: String,
    pub confirmation: Confirmation,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubmitStatus {
    /// It is the chain's newest block, or one that a later block merges.
    Accepted,
    /// It is valid and kept, and the chain had moved on: another block has its place.
    Stale,
}

/// The chain after a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confirmation {
    pub chain_length: u64,
    /// The expected number of hashes behind the block, hexadecimal.
    pub total_work: String,
    pub state_version: u64,
}

/// Which part of the chain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChainQuery {
    /// The first height. Without it, the newest blocks are shown.
    pub from: Option<u64>,
    /// How many blocks, at most 500; without it 50. Fewer come where they are large together: `next` says where to go on.
    pub limit: Option<usize>,
}

/// Part of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockchainResponse {
    /// In the order of their heights.
    pub chain: Vec<BlockBody>,
    /// How many blocks the whole chain has, the genesis among them.
    pub length: u64,
    /// The first height of this page.
    pub from: u64,
    /// What to give as `from` for the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockBody {
    pub index: u64,
    pub hash: String,
    pub previous_hash: String,
    /// All parents: on a chain with one, the same as `previous_hash`.
    pub parents: Vec<String>,
    /// How many blocks stand before it in the total order: its height, where no block is merged. `null` where the selected chain does not hold it.
    pub topoheight: Option<u64>,
    /// The blocks that it merges besides its selected parent, in the order in which the ledger applies them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merge_set: Vec<MergedBody>,
    pub transactions: Vec<TransactionBody>,
    pub timestamp: f64,
    pub nonce: u64,
    /// The difficulty that the header states, as the chain's users count it.
    #[schema(value_type = f64)]
    pub difficulty: Number,
    pub bits: u32,
    pub merkle_root: String,
    /// The expected number of hashes behind the block, hexadecimal.
    pub total_work: String,
    /// The header, as hex.
    #[schema(value_type = String)]
    pub header: Hex,
}

/// A merged block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MergedBody {
    pub hash: String,
    pub blue: bool,
}

/// Returns work for a miner.
#[utoipa::path(post, path = "/mine_block", tag = "mining", request_body = MineBlockRequest, responses(
    (status = 200, body = MineBlockResponse),
    (status = 400, body = ErrorBody, description = "the address or another field is wrong"),
    (status = 503, body = ErrorBody, description = "the chain is busy, or as many templates are out as this node keeps"),
))]
pub async fn mine_block(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<MineBlockRequest>,
) -> Result<Json<MineBlockResponse>, ApiError> {
    if request.client_version.as_ref().is_some_and(|version| version.chars().count() > CLIENT_VERSION_MAX) {
        let message = format!("client_version has at most {CLIENT_VERSION_MAX} characters");
        return Err(ApiError::bad_request("client-version", message));
    }
    if let Some(time) = request.timestamp {
        time_of("timestamp", time)?;
    }
    let extra = request.extra.unwrap_or_default().0;
    let wanted = api.template_request(&request.miner_address, extra)?;
    let template = api.template(Client::Visitor(from.ip()), wanted).await?;
    if request.compact {
        return Ok(Json(api.show(&template, true)));
    }
    let state = Arc::clone(&api);
    api.reads.run(move || Ok(Json(state.show(&template, false)))).await
}

/// Takes a block.
#[utoipa::path(post, path = "/submit_block", tag = "mining", request_body = SubmitBlockRequest, responses(
    (status = 200, body = SubmitBlockResponse, description = "the block is valid and kept: `accepted` or `stale`"),
    (status = 202, body = ErrorBody, description = "the block waits for its parent, or for its time"),
    (status = 400, body = ErrorBody, description = "a field is wrong, or the block breaks a rule, which the message names"),
    (status = 409, body = ErrorBody, description = "the block is known, or its template is not"),
    (status = 503, body = ErrorBody, description = "the chain is busy"),
))]
pub async fn submit_block(
    State(api): State<Arc<ApiState>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    JsonBody(request): JsonBody<SubmitBlockRequest>,
) -> Result<Json<SubmitBlockResponse>, ApiError> {
    let began = Instant::now();
    check_reported(request.mining_metadata.as_ref())?;
    if let Some(text) = &request.miner_address {
        shapes::address(&api.prefix, "miner_address", text)?;
    }
    let claimed: Option<BlockId> = request.hash.as_deref().map(|text| parse("hash", text)).transpose()?;
    let proof = Proof { nonce: request.nonce, rolled: request.rolled };
    let space = request.space_proof.as_ref().map(|Hex(bytes)| SpaceProof::from_bytes(bytes)).transpose();
    let space = space.map_err(|error| ApiError::bad_request("space-proof", format!("space_proof: {error}")))?;
    let from = Some(from.ip());
    let outcome = match (request.transactions.is_some(), request.template_id, space) {
        (false, Some(template), Some(space)) => api.chain.submit_proof(Solved::Named(template), space, from).await?,
        (_, _, Some(_)) => {
            return Err(ApiError::bad_request("space-proof", "space_proof goes with template_id and no transactions"));
        }
        (false, Some(template), None) => api.chain.submit_proof(Solved::Named(template), proof, from).await?,
        _ => api.chain.submit_parts(block_parts(&api, request, proof)?, from).await?,
    };
    api.metrics.submission_seconds.observe(began.elapsed().as_secs_f64());
    Ok(Json(submitted(&outcome?, claimed)))
}

/// Returns part of the chain.
#[utoipa::path(get, path = "/blockchain", tag = "chain", params(ChainQuery), responses(
    (status = 200, body = BlockchainResponse),
    (status = 400, body = ErrorBody),
))]
pub async fn blockchain(
    State(api): State<Arc<ApiState>>,
    QueryPart(query): QueryPart<ChainQuery>,
) -> Result<Response, ApiError> {
    let blocks_max = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&blocks_max) {
        let message = format!("limit lies between 1 and {PAGE_MAX}, not {blocks_max}");
        return Err(ApiError::bad_request("limit", message));
    }
    let limits = PageLimits { blocks_max, bytes_max: PAGE_BYTES_MAX };
    let state = Arc::clone(&api);
    let text = api.reads.run(move || page_text(&state, query.from, limits)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// Reads a page and writes it as JSON: for a thread where both may take their time.
fn page_text(api: &ApiState, from: Option<u64>, limits: PageLimits) -> Result<Vec<u8>, ApiError> {
    let (reader, length) = (api.chain.reader(), api.chain.snapshot().tip.height.0 + 1);
    let page = from.map_or_else(|| reader.newest(limits), |from| reader.page(Height(from), limits));
    let chain = block_bodies(api, &page.map_err(|error| ApiError::internal(&error))?)?;
    let first = chain.first().map_or(from.unwrap_or(length), |block| block.index);
    let next = chain.last().map(|block| block.index + 1).filter(|next| *next < length);
    let response = BlockchainResponse { chain, length, from: first, next };
    Ok(serde_json::to_vec(&response).expect("an answer is plain data"))
}

impl ApiState {
    /// Makes a request for work out of what a client sent.
    pub fn template_request(&self, address: &str, extra: Vec<u8>) -> Result<TemplateRequest, ApiError> {
        if extra.len() > EXTRA_BYTES_MAX {
            let message = format!("extra has at most {EXTRA_BYTES_MAX} bytes, not {}", extra.len());
            return Err(ApiError::bad_request("extra", message));
        }
        let pay_to = shapes::address(&self.prefix, "miner_address", address)?.key;
        // The chain's thread puts the difficulty in force here.
        Ok(TemplateRequest { pay_to, extra, difficulty: None })
    }

    /// Asks the chain for work.
    pub async fn template(&self, client: Client, wanted: TemplateRequest) -> Result<Arc<WorkTemplate>, ApiError> {
        let began = Instant::now();
        let template = self.chain.template(client, wanted).await??;
        self.metrics.template_seconds.observe(began.elapsed().as_secs_f64());
        Ok(template)
    }

    /// Shows work. Nothing is asked of a plugin here: async tasks call it.
    pub fn show(&self, template: &WorkTemplate, compact: bool) -> MineBlockResponse {
        let requirements = &template.requirements;
        let target_difficulty = difficulty_number(&requirements.difficulty);
        let coinbase = || TransactionBody::new(&template.coinbase, None, &self.prefix);
        let payments = || {
            let pending = template.transactions.iter();
            pending.map(|pending| TransactionBody::new(&pending.transaction, Some(pending.fee), &self.prefix))
        };
        let transactions = (!compact).then(|| std::iter::once(coinbase()).chain(payments()).collect());
        let work = Template { header: Vec::new(), pow: template.pow.clone(), target: template.target };
        MineBlockResponse {
            status: "template_created".to_owned(),
            block_template: BlockTemplate {
                template_id: template.id,
                state_version: template.state_version,
                index: requirements.height.0,
                previous_hash: requirements.parents.first().map(ToString::to_string).unwrap_or_default(),
                transactions,
                timestamp: seconds(template.time),
                expires: seconds(template.expires),
                target_difficulty: target_difficulty.clone(),
                bits: requirements.bits,
                merkle_root: template.body_root.to_string(),
                parallel: self.chain.snapshot().dag.is_some(),
                shares: false,
                header: Hex(template.header.clone()),
                work: WorkBody::new(&work),
                space: template.challenge.as_ref().map(|challenge| {
                    let most = usize::try_from(challenge.registrations_max).unwrap_or(usize::MAX);
                    SpaceBody::new(challenge, &self.chain.plots().waiting_first(most))
                }),
            },
            target_difficulty,
            mining_metadata: MiningMetadata {
                transaction_count: template.transactions.len(),
                total_fees: decimal(template.fees),
                total_fees_atoms: template.fees.to_atoms(),
                block_reward: decimal(Amount::from_atoms(requirements.subsidy)),
                block_reward_atoms: requirements.subsidy,
            },
        }
    }
}

/// Reads the nonce out of the bytes that were hashed.
fn nonce_of(pow: &PowInput) -> u64 {
    let (offset, length) = (pow.nonce_offset as usize, pow.nonce_bytes as usize);
    let field = offset.checked_add(length).and_then(|end| pow.bytes.get(offset..end));
    field.into_iter().flatten().rev().fold(0, |nonce, byte| nonce << 8 | u64::from(*byte))
}

pub(super) fn block_bodies(api: &ApiState, page: &[(IndexedBlock, Block)]) -> Result<Vec<BlockBody>, ApiError> {
    let headers: Vec<_> = page.iter().map(|(_, block)| block.header.clone()).collect();
    let views = api.rules.decode(&headers).map_err(|fault| ApiError::internal(&fault))?;
    let body = |((indexed, block), view): (&(IndexedBlock, Block), Result<HeaderView, _>)| {
        let view = view.map_err(|violation: adit_primitives::contract::Violation| ApiError::internal(&violation))?;
        let known = &indexed.known;
        Ok(BlockBody {
            index: known.height.0,
            hash: known.id.to_string(),
            previous_hash: known.selected_parent.map_or_else(|| "0".to_owned(), |id| id.to_string()),
            parents: known.parents.iter().map(ToString::to_string).collect(),
            topoheight: api.chain.reader().standing(known.id).and_then(|standing| standing.topoheight),
            merge_set: known.merge_set.iter().map(MergedBody::new).collect(),
            transactions: block
                .body
                .iter()
                .map(|tx| TransactionBody {
                    transaction_id: api.chain.reader().transaction_id(tx, known.id).to_string(),
                    ..TransactionBody::new(tx, None, &api.prefix)
                })
                .collect(),
            timestamp: seconds(known.time),
            nonce: nonce_of(&view.pow),
            difficulty: api.difficulty_of(known.bits)?,
            bits: known.bits,
            merkle_root: view.body_root.to_string(),
            total_work: known.work.to_string(),
            header: Hex(block.header.clone()),
        })
    };
    page.iter().zip(views).map(body).collect()
}

impl MergedBody {
    fn new(merged: &MergedBlock) -> Self {
        Self { hash: merged.id.to_string(), blue: merged.blue }
    }
}

fn check_reported(reported: Option<&ReportedMining>) -> Result<(), ApiError> {
    let Some(reported) = reported else { return Ok(()) };
    let sound = |value: Option<f64>| value.is_none_or(|value| value.is_finite() && value >= 0.0);
    if sound(reported.mining_duration) && sound(reported.hash_rate) {
        return Ok(());
    }
    Err(ApiError::bad_request("mining-metadata", "mining_duration and hash_rate are numbers of 0 or more"))
}

fn block_parts(api: &ApiState, request: SubmitBlockRequest, proof: Proof) -> Result<BlockParts, ApiError> {
    let missing = |field| {
        ApiError::bad_request("missing", format!("{field} is missing: send template_id, or every part of the block"))
    };
    let transactions = request.transactions.ok_or_else(|| missing("transactions"))?;
    let body: Vec<_> = transactions.into_iter().map(|tx| tx.read(&api.prefix)).collect::<Result<_, _>>()?;
    let body_root: Hash256 = parse("merkle_root", &request.merkle_root.ok_or_else(|| missing("merkle_root"))?)?;
    let leaves = body.iter().map(adit_chain::Transaction::leaf).collect();
    let computed = adit_chain::block::body_root(leaves)
        .map_err(|error| ApiError::bad_request("transactions", error.to_string()))?;
    if computed != body_root {
        let message = format!("merkle_root is {body_root}, the transactions have {computed}");
        return Err(ApiError::bad_request("merkle-root", message));
    }
    let parent = parse("previous_hash", &request.previous_hash.ok_or_else(|| missing("previous_hash"))?)?;
    let time = time_of("timestamp", request.timestamp.ok_or_else(|| missing("timestamp"))?)?;
    let height = Height(request.index.ok_or_else(|| missing("index"))?);
    let difficulty = request.target_difficulty.map(whole_difficulty).transpose()?.flatten();
    let draft = PartialDraft { parent, bits: request.bits, difficulty, time, body_root };
    Ok(BlockParts { draft, height, proof, body })
}

/// Reads a difficulty: a broken one cannot be wished for, so the rules' own is left standing.
fn whole_difficulty(number: f64) -> Result<Option<u64>, ApiError> {
    if !(0.0..9_007_199_254_740_992.0).contains(&number) {
        return Err(ApiError::bad_request("target-difficulty", "target_difficulty is a number of 0 or more"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Ok((number.fract() == 0.0).then_some(number as u64))
}

pub(super) fn submitted(taken: &Taken, claimed: Option<BlockId>) -> SubmitBlockResponse {
    let Taken { accepted, made_for, state_version, merges } = taken;
    let (status, mut message) = match (accepted.selected, made_for) {
        (false, _) if *merges => {
            (SubmitStatus::Accepted, "Block accepted beside the selected chain: a later block merges it".to_owned())
        }
        (true, _) => (SubmitStatus::Accepted, "Block accepted and added to blockchain".to_owned()),
        (false, Some(made_for)) => {
            let message =
                format!("Block kept on a side: it was made for state {made_for}, the chain is at {state_version}");
            (SubmitStatus::Stale, message)
        }
        (false, None) => (SubmitStatus::Stale, "Block kept on a side: the chain has more work elsewhere".to_owned()),
    };
    if claimed.is_some_and(|claimed| claimed != accepted.id) {
        message.push_str("; the submitted hash was ignored, it is not this block's");
    }
    SubmitBlockResponse {
        status,
        message,
        block_index: accepted.height.0,
        hash: accepted.id.to_string(),
        confirmation: Confirmation {
            chain_length: accepted.height.0 + 1,
            total_work: accepted.work.to_string(),
            state_version: *state_version,
        },
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::UnknownTemplate { .. } => Self::new(StatusCode::CONFLICT, "unknown-template", message),
            SubmitError::Header(_) => Self::bad_request("invalid-header", message),
            SubmitError::UnknownParent { .. } => Self::new(StatusCode::CONFLICT, "unknown-parent", message),
            SubmitError::Height { .. } => Self::bad_request("index", message),
            SubmitError::Block(error) => match error {
                BlockError::Known { .. } => Self::new(StatusCode::CONFLICT, "known", message),
                BlockError::Orphan { .. } => Self::new(StatusCode::ACCEPTED, "orphan", message),
                BlockError::Early { kept: true, .. } => Self::new(StatusCode::ACCEPTED, "early", message),
                BlockError::Early { kept: false, .. } => Self::bad_request("early", message),
                BlockError::Deep { .. } => Self::new(StatusCode::CONFLICT, "deep", message),
                BlockError::Invalid { violation, .. } => Self::bad_request("invalid-block", violation.to_string()),
                BlockError::KnownInvalid { .. } => Self::bad_request("invalid-block", message),
                BlockError::Fault(fault) => Self::internal(&fault),
                BlockError::Storage(error) => Self::internal(&error),
            },
        }
    }
}

impl From<WorkError> for ApiError {
    fn from(error: WorkError) -> Self {
        let message = error.to_string();
        match error {
            WorkError::Full => {
                let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "templates", message);
                Self { retry_after: Some(Duration::from_secs(1)), ..refusal }
            }
            WorkError::Template(error) => error.into(),
        }
    }
}

impl From<TemplateError> for ApiError {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Refused(violation) => {
                Self::new(StatusCode::CONFLICT, "refused-by-rules", violation.to_string())
            }
            TemplateError::Extra { .. } => Self::bad_request("extra", error.to_string()),
            other => Self::internal(&other),
        }
    }
}
