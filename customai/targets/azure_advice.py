"""What Azure's error codes mean for a newcomer, and what to do.

From the Azure documentation's pages on common deployment errors, quotas, spot machines, AKS and Azure ML error codes.
"""

from __future__ import annotations

from typing import NamedTuple

from customai.errors import (
    Conflict,
    CustomAIError,
    Forbidden,
    NoQuota,
    NotAvailable,
    NotFound,
    NotLoggedIn,
    RunFailed,
    TargetError,
)

QUOTA_PAGE = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"


class Advice(NamedTuple):
    kind: type[CustomAIError]
    means: str
    hint: str


_REGISTER = "az provider register --namespace {provider} --wait"
_CAPACITY = "quota is not capacity: try again later, or another size, zone or region (azure.location in the spec)"
_WAIT = "wait until it has ended, then run the same command again"

_TABLE: tuple[tuple[str, type[CustomAIError], str, str], ...] = (
    (
        "SkuNotAvailable AzureSpotIsNotSupportedForThisVMSize",
        NotAvailable,
        "this VM size is not offered to your subscription there",
        "choose another size of the same family, or another region: az vm list-skus -l LOCATION --size SIZE --all -o table",
    ),
    (
        "QuotaExceeded ResourceQuotaExceeded OutOfQuota",
        NoQuota,
        "your quota of vCPUs is too small (new subscriptions start at 0 for GPUs; stopped machines count too)",
        f"ask for more, it is free: {QUOTA_PAGE}; or choose a smaller size",
    ),
    (
        "ManagedClusterCountExceedsQuotaLimit PublicIPCountLimitReached",
        NoQuota,
        "your subscription has as many of these as it may have in the region",
        f"delete one that is not needed, or ask for more: {QUOTA_PAGE}",
    ),
    (
        (
            "AllocationFailed ZonalAllocationFailed OverconstrainedAllocationRequest OverconstrainedZonalAllocationRequest "
            "AksCapacityHeavyUsage AKSCapacityError"
        ),
        NotAvailable,
        "the region has no machine of this size free just now",
        _CAPACITY,
    ),
    ("RegionDoesNotAllowProvisioning", NotAvailable, "the region is closed to your subscription", _CAPACITY),
    (
        (
            "MissingSubscriptionRegistration NoRegisteredProviderFound MissingRegistrationForLocation "
            "InvalidSubscriptionRegistrationState"
        ),
        NotAvailable,
        "your subscription has never used this service: its resource provider is not registered",
        _REGISTER,
    ),
    (
        "AuthorizationFailed LinkedAuthorizationFailed RoleAssignmentUpdateNotPermitted",
        Forbidden,
        "your account has no right to do this",
        (
            "ask for the Contributor role and, for role assignments, Role Based Access Control Administrator on the resource "
            "group; a new role takes up to 10 minutes to count"
        ),
    ),
    (
        "RequestDisallowedByPolicy",
        Forbidden,
        "a policy of your organisation forbids it",
        "who looks after the subscription can say what it asks for",
    ),
    (
        "InvalidTemplateDeployment InvalidTemplate DeploymentFailed",
        RunFailed,
        "Azure refused the deployment",
        "the message says why; customai plan shows every request",
    ),
    (
        "MarketplacePurchaseEligibilityFailed ResourcePurchaseValidationFailed",
        Forbidden,
        "the image has terms that nobody has accepted for this subscription",
        "az vm image terms accept --urn PUBLISHER:OFFER:SKU:latest",
    ),
    (
        "ImageNotFound PlatformImageNotFound",
        NotFound,
        "the image or this version of it is no longer there (versions are kept for 12 months)",
        "use `latest`: az vm image list --publisher microsoft-dsvm --all -o table",
    ),
    (
        (
            "StorageAccountAlreadyTaken StorageAccountAlreadyExists AccountNameInvalid RegistryNameAlreadyInUse "
            "VaultAlreadyExists AlreadyInUse NameUnavailable DnsRecordInUse"
        ),
        Conflict,
        "the name is taken: it must be unique in all of Azure",
        "choose another `name` in the spec; if you deleted it lately, it may still be kept: destroy with --purge",
    ),
    (
        "ConflictError Conflict ScopeLocked",
        Conflict,
        "something else has it, or is changing it",
        "was it deleted lately (soft delete), or is it locked? az resource list -g GROUP -o table",
    ),
    (
        (
            "AnotherOperationInProgress OperationNotAllowedOnUpdatingCluster DeploymentActiveAndUneditable "
            "ResourceGroupBeingDeleted RetryableError OperationPreempted"
        ),
        Conflict,
        "Azure is still busy with an earlier change",
        _WAIT,
    ),
    (
        (
            "ReservedResourceName InvalidParameter InvalidRequestPropertyValue InvalidRequestBody BadArgument "
            "InvalidValuesForRequestParameters InvalidAddressPrefixFormat LinkedInvalidPropertyId BadRequest "
            "InvalidRequestContent"
        ),
        RunFailed,
        "Azure does not accept a value of the request",
        "the message names it; customai plan --output json shows the request",
    ),
    (
        "PropertyChangeNotAllowed OperationInvalidForCurrentState",
        Conflict,
        "this cannot be changed once it is there",
        "put the old value back, or destroy and deploy again",
    ),
    ("SubnetIsFull", NoQuota, "the subnet has no address left", "make its range larger in the spec"),
    (
        (
            "SubnetsNotInSameVnet SubnetIsDelegated InUseSubnetCannotBeDeleted InUseNetworkSecurityGroupCannotBeDeleted "
            "NicInUse PublicIPAddressCannotBeDeleted"
        ),
        Conflict,
        "something else uses it",
        "az resource list -g GROUP -o table shows what is there",
    ),
    (
        "SpotPriceGreaterThanProvidedMaxPrice AzureSpotFeatureNotEnabledForSubscription",
        NotAvailable,
        "a spot machine is not to be had (free and trial subscriptions get none)",
        "leave `spot` out of the spec",
    ),
    (
        (
            "VMExtensionError_OutboundConnFail VMExtensionError_K8SAPIServerConnFail VMExtensionError_K8SAPIServerDNSLookupFail "
            "VMExtensionProvisioningError"
        ),
        RunFailed,
        "a machine cannot reach what it needs: it has no way out of its network",
        "is there a firewall or a route table on the subnet? It needs a NAT gateway or a public IP",
    ),
    (
        "Throttled TooManyRequests TooManyRequestsReceived SubscriptionRequestsThrottled FailedIdentityOperation",
        TargetError,
        "Azure is asked too often just now",
        "wait some minutes, then run the same command again: it continues where it was",
    ),
    (
        "ReadOnlyDisabledSubscription SubscriptionNotFound SubscriptionNotRegistered DisallowedOperation",
        Forbidden,
        "the subscription is not there, not yours, or disabled",
        "az account list -o table, then az account set -s ID; or azure.subscription in the spec",
    ),
    (
        (
            "InvalidAuthenticationTokenTenant InvalidAuthenticationToken ExpiredAuthenticationToken AuthenticationFailed "
            "Unauthorized"
        ),
        NotLoggedIn,
        "your login does not count here: it has expired, or is of another tenant",
        "az login --tenant TENANT, then run the same command again",
    ),
    (
        "PrincipalNotFound",
        RunFailed,
        "a new identity has not reached all of Azure yet",
        "wait a minute, then run the same command again: it continues where it was",
    ),
    (
        "ResourceNotFound NotFound ResourceGroupNotFound ParentResourceNotFound InvalidResourceType ClusterNotFound JobNotFound",
        NotFound,
        "it is not there",
        "was it deleted by hand? customai status says what is left, customai deploy makes it again",
    ),
    ("ResourceNotReady", RunFailed, "the container does not answer", "customai logs shows what it wrote"),
    ("ImageBuildFailure", RunFailed, "the image cannot be built", "customai logs shows the build"),
    (
        "InternalServerError InternalOperationError ServiceError GatewayTimeout BadGatewayConnection ServiceUnavailable",
        TargetError,
        "Azure itself has a problem",
        "run the same command again: it continues where it was; https://status.azure.com",
    ),
)
ADVICE = {code: Advice(kind, means, hint) for codes, kind, means, hint in _TABLE for code in codes.split()}
