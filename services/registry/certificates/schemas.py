"""HTTP shape of a certificate's verification."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from services.registry.certificates.service import Certificate
from shared.http.fields import Day


class CertificateOut(BaseModel):
    """What anybody may learn of a certificate 证书核验; nothing more: no name, no household number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "number": "4113232018000001",
                    "status": "valid",
                    "withdrawn_on": None,
                    "village": "西峡县西坪镇下营村",
                    "year": 2018,
                    "watermark": None,
                }
            ]
        }
    )

    number: str = Field(description="Number 证书编号: county, year, running number.")
    status: Literal["valid", "withdrawn"] = Field(
        description="valid 有效; withdrawn 已注销: the household relapsed 返贫 or was not on the register "
        "on the day, or a later one replaced it. "
        "May be extended."
    )
    withdrawn_on: Day | None = Field(description="Day from which it holds no longer 注销日期.")
    village: str = Field(description="Village, as it was called then 所在村.")
    year: int = Field(description="Year of the exit 脱贫年度.")
    watermark: str | None = Field(description="演示数据 where the data is invented.")

    @classmethod
    def of(cls, certificate: Certificate, watermark: str | None) -> Self:
        return cls(
            number=certificate.number,
            status="valid" if certificate.withdrawn_on is None else "withdrawn",
            withdrawn_on=certificate.withdrawn_on,
            village=certificate.village_name,
            year=certificate.issued_on.year,
            watermark=watermark,
        )
