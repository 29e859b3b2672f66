//! What a component asks for and offers, read from its outline before anything is compiled.

use crate::abi::Kind;
use crate::load::LoadError;
use adit_primitives::{Hash256, canonical_struct};
use wasmparser::{
    ComponentDefinedType, ComponentFuncType, ComponentType, ComponentTypeDeclaration, ComponentValType, Encoding,
    InstanceTypeDeclaration, Parser, Payload, PrimitiveValType,
};

/// The version of the contract that this host speaks. Patch versions within it fit each other.
pub const CONTRACT_VERSION: &str = "0.1";

const PACKAGE: &str = "adit:plugin/";

/// A plugin, as `adit plugin inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// As `chain.toml` names it: lower-case words joined by dashes.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    pub kind: Kind,
    /// One sentence.
    pub summary: String,
    /// BLAKE3 of the file's bytes.
    pub digest: Hash256,
    /// The size of the file in bytes.
    pub size: usize,
    /// The interfaces that it imports, with their versions.
    pub imports: Vec<String>,
    /// The interfaces that it exports, with their versions.
    pub exports: Vec<String>,
    /// The JSON Schema of its `config` table.
    pub schema: String,
}

/// The names on a component's border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl PluginInfo {
    /// Tells whether the plugin says how the nodes of a peer-to-peer pool agree.
    pub fn is_quorum(&self) -> bool {
        exports(&self.exports, "quorum")
    }

    /// Tells whether by the plugin's rules plots win blocks.
    pub fn is_space(&self) -> bool {
        exports(&self.exports, "space")
    }
}

/// Tells whether an interface of the contract is among exports.
fn exports(exports: &[String], interface: &str) -> bool {
    exports.iter().any(|name| interface_of(name) == Some(interface))
}

canonical_struct!(Outline { imports, exports });

/// What the first bytes of a file say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Component,
    Module,
    Foreign,
}

/// Reads the preamble.
pub(crate) fn format(bytes: &[u8]) -> Format {
    if Parser::is_component(bytes) {
        Format::Component
    } else if Parser::is_core_wasm(bytes) {
        Format::Module
    } else {
        Format::Foreign
    }
}

/// Reads the outline of a component, and refuses floats in its types.
pub(crate) fn outline(component: &[u8]) -> Result<Outline, LoadError> {
    let mut outline = Outline { imports: Vec::new(), exports: Vec::new() };
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    outline.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    outline.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    if has_float(&ty.map_err(malformed)?) {
                        return Err(LoadError::Float);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

impl Outline {
    /// Tells whether the component is a quorum policy besides.
    pub fn is_quorum(&self) -> bool {
        exports(&self.exports, "quorum")
    }

    /// Tells whether by the component's rules plots win blocks.
    pub fn is_space(&self) -> bool {
        exports(&self.exports, "space")
    }

    /// Says what kind of plugin this is, and refuses what the kind is not given.
    pub fn kind(&self) -> Result<Kind, LoadError> {
        if let Some(import) = self.imports.iter().find(|name| name.starts_with("wasi:")) {
            return Err(LoadError::Wasi { import: import.clone() });
        }
        for name in self.imports.iter().chain(&self.exports) {
            let version = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')).map(|(_, version)| version);
            if let Some(version) = version.filter(|version| !is_spoken(version)) {
                return Err(LoadError::Version { found: version.to_owned() });
            }
        }
        let mut kinds = Kind::ALL.into_iter().filter(|kind| exports(&self.exports, kind.interface()));
        let (Some(kind), None) = (kinds.next(), kinds.next()) else { return Err(LoadError::Kind) };
        let granted: &[&str] = match kind {
            Kind::Hash | Kind::Payout | Kind::Shares => &["types", "diagnostics"],
            Kind::Consensus => &["types", "diagnostics", "chain-view"],
        };
        if (kind != Kind::Shares && self.is_quorum()) || (kind != Kind::Consensus && self.is_space()) {
            return Err(LoadError::Kind);
        }
        match self.imports.iter().find(|name| !interface_of(name).is_some_and(|name| granted.contains(&name))) {
            Some(import) => Err(LoadError::Import { import: import.clone(), kind }),
            None => Ok(kind),
        }
    }
}

impl Kind {
    /// The interface that makes a component this kind of plugin.
    fn interface(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Consensus => "rules",
            Self::Payout => "payout",
            Self::Shares => "shares",
        }
    }
}

/// The interface's name, where it is one of the contract's.
fn interface_of(name: &str) -> Option<&str> {
    name.strip_prefix(PACKAGE)?.split_once('@').map(|(interface, _)| interface)
}

fn is_spoken(version: &str) -> bool {
    version
        .strip_prefix(CONTRACT_VERSION)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Malformed { detail: error.to_string() }
}

fn has_float(ty: &ComponentType<'_>) -> bool {
    match ty {
        ComponentType::Defined(ty) => defined_has_float(ty),
        ComponentType::Func(ty) => function_has_float(ty),
        ComponentType::Component(declarations) => declarations.iter().any(|declaration| match declaration {
            ComponentTypeDeclaration::Type(ty) => has_float(ty),
            _ => false,
        }),
        ComponentType::Instance(declarations) => declarations.iter().any(|declaration| match declaration {
            InstanceTypeDeclaration::Type(ty) => has_float(ty),
            _ => false,
        }),
        ComponentType::Resource { .. } => false,
    }
}

fn function_has_float(ty: &ComponentFuncType<'_>) -> bool {
    ty.params.iter().any(|(_, ty)| is_float(*ty)) || ty.result.is_some_and(is_float)
}

fn defined_has_float(ty: &ComponentDefinedType<'_>) -> bool {
    match ty {
        ComponentDefinedType::Primitive(ty) => is_float(ComponentValType::Primitive(*ty)),
        ComponentDefinedType::Record(fields) => fields.iter().any(|(_, ty)| is_float(*ty)),
        ComponentDefinedType::Variant(cases) => cases.iter().filter_map(|case| case.ty).any(is_float),
        ComponentDefinedType::List(ty)
        | ComponentDefinedType::FixedLengthList(ty, _)
        | ComponentDefinedType::Option(ty) => is_float(*ty),
        ComponentDefinedType::Map(key, value) => is_float(*key) || is_float(*value),
        ComponentDefinedType::Tuple(types) => types.iter().copied().any(is_float),
        ComponentDefinedType::Result { ok, err } => ok.is_some_and(is_float) || err.is_some_and(is_float),
        ComponentDefinedType::Future(ty) | ComponentDefinedType::Stream(ty) => ty.is_some_and(is_float),
        ComponentDefinedType::Flags(_)
        | ComponentDefinedType::Enum(_)
        | ComponentDefinedType::Own(_)
        | ComponentDefinedType::Borrow(_) => false,
    }
}

fn is_float(ty: ComponentValType) -> bool {
    matches!(ty, ComponentValType::Primitive(PrimitiveValType::F32 | PrimitiveValType::F64))
}
