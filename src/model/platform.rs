//! What an image was built for: operating system and processor.

use std::fmt;
use std::str::FromStr;

/// A platform in its one normal form: `linux/amd64`, `linux/arm/v7`, and `linux/arm64` for `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    os: String,
    architecture: String,
    /// Which kind of the architecture, where that isn't the usual one.
    variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: `os/architecture`, as in `linux/amd64`, `linux/arm64`, `linux/arm/v7`")]
pub struct PlatformError(String);

/// Architectures by the names that Go has for them, which are those of images.
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x", "wasm",
];

impl Platform {
    /// The platform of these names, each in whatever spelling.
    pub fn of(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let [os, architecture] = [os, architecture].map(str::to_ascii_lowercase);
        let variant = variant.map(str::to_ascii_lowercase).unwrap_or_default();
        let variant = variant.strip_prefix('v').unwrap_or(&variant);
        let (architecture, variant) = match (architecture.as_str(), variant) {
            ("i386", _) => ("386", ""),
            ("amd64" | "x86_64" | "x86-64", "" | "1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("arm64" | "aarch64", "" | "8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("arm", "") | ("armhf", _) => ("arm", "7"),
            ("armel", _) => ("arm", "6"),
            (architecture, variant) => (architecture, variant),
        };
        let variant = (!variant.is_empty()).then(|| format!("v{variant}"));
        Self { os, architecture: architecture.to_owned(), variant }
    }

    /// The operating system: `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// Whether an image of this platform is one for `wanted`: the same, or for an older kind of the same processor,
    /// which engines take as well.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && self.kind().is_none_or(|own| wanted.kind().is_some_and(|most| own <= most))
    }

    /// The number of the variant, where there is one.
    fn kind(&self) -> Option<u32> {
        let text = self.variant.as_deref()?.strip_prefix('v')?;
        // One that is no number is only ever served by itself.
        Some(text.parse().unwrap_or(u32::MAX))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        if !parts.iter().all(is_word) {
            return Err(wrong());
        }
        let platform = match parts.as_slice() {
            [architecture] => Self::of("linux", architecture, None),
            [os, architecture] => Self::of(os, architecture, None),
            [os, architecture, variant] => Self::of(os, architecture, Some(variant)),
            _ => return Err(wrong()),
        };
        if ARCHITECTURES.contains(&platform.architecture.as_str()) { Ok(platform) } else { Err(wrong()) }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, architecture, variant } = self;
        let variant = variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        f.pad(&format!("{os}/{architecture}{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn trap_79_one_platform_has_one_form() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/x86-64/v3", "linux/amd64/v3"),
            ("amd64", "linux/amd64"),
            ("linux/arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64/8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("armhf", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), normal, "{text}");
            assert_eq!(platform(normal), platform(text));
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in ["", "linux", "linux/", "/amd64", "linux/amd46", "linux/arm/v7/x", "linux/a b", "nowhere"]
        {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_image_serves_its_own_processor_and_newer_ones_of_its_kind() {
        let serves = |image: &str, wanted: &str| platform(image).serves(&platform(wanted));
        assert!(serves("linux/arm64", "linux/arm64/v8"));
        assert!(serves("linux/arm/v6", "linux/arm/v7"));
        assert!(serves("linux/amd64", "linux/amd64/v3"));
        assert!(!serves("linux/arm/v7", "linux/arm/v6"));
        assert!(!serves("linux/amd64/v3", "linux/amd64"));
        assert!(!serves("linux/amd64", "linux/arm64"));
        assert!(!serves("windows/amd64", "linux/amd64"));
    }
}
