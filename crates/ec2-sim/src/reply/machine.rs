//! What an image hands to its instances, and what it is billed as.

/// What an instance has of its image, beside the data: parameters of `RegisterImage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineAttributes {
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0` with a `NitroTPM`.
    pub tpm_support: Option<String>,
    /// The variables of the UEFI, in Base64.
    pub uefi_data: Option<String>,
    /// Whether an ENA is allowed.
    pub ena_support: bool,
    /// `simple` where an Intel 82599 is allowed.
    pub sriov_net_support: Option<String>,
    /// `v2.0` where instances must use version 2 of the metadata service.
    pub imds_support: Option<String>,
}

impl Default for MachineAttributes {
    /// What instances of these years have.
    fn default() -> Self {
        Self {
            virtualization: "hvm".to_owned(),
            boot_mode: None,
            tpm_support: None,
            uefi_data: None,
            ena_support: true,
            sriov_net_support: None,
            imds_support: None,
        }
    }
}

/// `UsageOperation` of what is billed so: "AMI billing information fields" in the EC2 User Guide.
pub(crate) fn usage_operation(platform_details: &str) -> &'static str {
    match platform_details {
        "Red Hat Enterprise Linux" => "RunInstances:0010",
        "Red Hat BYOL Linux" => "RunInstances:00g0",
        "SUSE Linux" => "RunInstances:000g",
        "Ubuntu Pro" => "RunInstances:0g00",
        "SQL Server Standard" => "RunInstances:0004",
        "SQL Server Enterprise" => "RunInstances:0100",
        "SQL Server Web" => "RunInstances:0200",
        "Windows" => "RunInstances:0002",
        "Windows BYOL" => "RunInstances:0800",
        "Windows with SQL Server Standard" => "RunInstances:0006",
        "Windows with SQL Server Enterprise" => "RunInstances:0102",
        "Windows with SQL Server Web" => "RunInstances:0202",
        _ => "RunInstances",
    }
}
