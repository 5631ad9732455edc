//! Azure's clouds: endpoint, authority, token audiences and host suffixes belong together.

/// One of Azure's clouds.
///
/// Source: <https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure> and
/// <https://learn.microsoft.com/azure/china/resources-developer-guide>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Azure.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    /// The endpoint of Resource Manager.
    #[must_use]
    pub fn arm_endpoint(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/",
            Self::UsGovernment => "https://management.usgovcloudapi.net/",
            Self::China => "https://management.chinacloudapi.cn/",
        }
    }

    /// The scope of tokens for Resource Manager.
    #[must_use]
    pub fn arm_scope(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/.default",
            Self::UsGovernment => "https://management.usgovcloudapi.net/.default",
            Self::China => "https://management.chinacloudapi.cn/.default",
        }
    }

    /// The scope of tokens for telemetry.
    ///
    /// Source: <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>
    #[must_use]
    pub fn monitor_audience(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com",
            Self::UsGovernment => "https://monitor.azure.us",
            Self::China => "https://monitor.azure.cn",
        }
    }

    /// The issuer of tokens.
    #[must_use]
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com/",
            Self::UsGovernment => "https://login.microsoftonline.us/",
            Self::China => "https://login.chinacloudapi.cn/",
        }
    }

    /// The suffixes of the host names of its storage queues. Public accounts may have a DNS zone of their
    /// own.
    ///
    /// Source:
    /// <https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints>
    #[must_use]
    pub fn queue_suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Public => &[".queue.core.windows.net", ".queue.storage.azure.net"],
            Self::UsGovernment => &[".queue.core.usgovcloudapi.net"],
            Self::China => &[".queue.core.chinacloudapi.cn"],
        }
    }

    /// The scope of tokens for Key Vault.
    ///
    /// Source: the endpoints of each cloud in the Azure CLI (`azure/cli/core/cloud.py`).
    #[must_use]
    pub fn vault_scope(self) -> &'static str {
        match self {
            Self::Public => "https://vault.azure.net/.default",
            Self::UsGovernment => "https://vault.usgovcloudapi.net/.default",
            Self::China => "https://vault.azure.cn/.default",
        }
    }

    /// The suffix of the host names of its key vaults.
    #[must_use]
    pub fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => ".vault.azure.net",
            Self::UsGovernment => ".vault.usgovcloudapi.net",
            Self::China => ".vault.azure.cn",
        }
    }
}
