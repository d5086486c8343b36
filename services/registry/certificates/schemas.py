"""HTTP shape of a certificate's verification."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.http.fields import Day


class CertificateOut(BaseModel):
    """What anybody with a key may learn of a certificate 证书核验; nothing more."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "number": "4113232018000001",
                    "status": "valid",
                    "head": "测*甲",
                    "village": "西峡县西坪镇下营村",
                    "issued_on": "2018-11-01",
                    "watermark": None,
                }
            ]
        }
    )

    number: str = Field(description="Number 证书编号: county, year, running number.")
    status: Literal["valid", "revoked"] = Field(description="valid 有效, revoked 已注销: a later one replaced it.")
    head: str = Field(description="Head of the household, masked 户主(脱敏).")
    village: str = Field(description="Village, as it was called then 所在村.")
    issued_on: Day = Field(description="Day of issue 发证日期.")
    watermark: str | None = Field(description="演示数据 where the data is invented.")
