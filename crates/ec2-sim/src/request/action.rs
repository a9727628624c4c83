//! The actions that the simulator knows, and which service each belongs to.

use std::fmt;

macro_rules! actions {
    ($($name:ident),+ $(,)?) => {
        /// An API action, named as EC2 and STS name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the names are EC2's")]
        pub enum Action { $($name),+ }

        impl Action {
            /// Every action that the simulator knows.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The action of that name, if the simulator knows it.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == name)
            }
        }
    };
}

actions!(
    DescribeInstances,
    DescribeInstanceStatus,
    DescribeInstanceTypes,
    DescribeVolumes,
    DescribeImages,
    DescribeSnapshots,
    DescribeTags,
    DescribeRegions,
    DescribeImageReferences,
    DescribeLaunchTemplates,
    DescribeLaunchTemplateVersions,
    CreateImage,
    CreateSnapshots,
    RegisterImage,
    GetInstanceUefiData,
    CreateTags,
    DeleteTags,
    DeregisterImage,
    EnableImageDeregistrationProtection,
    DisableImageDeregistrationProtection,
    DeleteSnapshot,
    CreateLaunchTemplate,
    CreateLaunchTemplateVersion,
    DeleteLaunchTemplate,
    StartInstances,
    StopInstances,
    TerminateInstances,
    RebootInstances,
    GetCallerIdentity,
    AssumeRole,
    SendCommand,
    GetCommandInvocation,
    CancelCommand,
    DescribeInstanceInformation,
    ListServiceQuotas,
);

impl Action {
    /// Whether it belongs to STS and not to EC2.
    pub fn is_sts(self) -> bool {
        matches!(self, Self::GetCallerIdentity | Self::AssumeRole)
    }

    /// Whether it belongs to Systems Manager and not to EC2.
    pub fn is_ssm(self) -> bool {
        matches!(
            self,
            Self::SendCommand | Self::GetCommandInvocation | Self::CancelCommand | Self::DescribeInstanceInformation
        )
    }

    /// Whether it belongs to EC2.
    pub fn is_ec2(self) -> bool {
        !self.is_sts() && !self.is_ssm() && self != Self::ListServiceQuotas
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
