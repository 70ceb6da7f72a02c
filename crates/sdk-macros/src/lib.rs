//! The attributes of the Tradewind SDK.
