"""SX1261, SX1262, SX1268: registers, arguments, tables. Opcodes are in commands.py, interrupts in modem.py."""

VERSION_STRING = 0x0320  # 16 bytes that begin "SX126": the only identity there is
RETENTION_LIST = 0x029F  # a count, then up to four addresses that a warm sleep keeps
IQ_POLARITY    = 0x0736  # erratum 15.4
SYNC_WORD      = 0x0740
RX_CRC_PRESENT = 0x076B  # bit 4: the header announced a CRC
TX_MODULATION  = 0x0889  # erratum 15.1
RX_GAIN        = 0x08AC
RX_PATCH       = 0x08B5  # undocumented: bit 0 makes the receiver more sensitive
TX_CLAMP       = 0x08D8  # erratum 15.2
OCP            = 0x08E7  # over-current protection, 2.5 mA a step
RTC_CONTROL    = 0x0902  # erratum 15.3
EVENT_MASK     = 0x0944  # erratum 15.3

STDBY_RC, STDBY_XOSC = 0, 1
FALLBACK_STDBY_XOSC = 0x30
SLEEP_WARM = 0x04
SLEEP_ENTRY_MS = 2  # before that it cannot be woken
LORA = 1
RAMP_200_US = 4
CALIBRATE_ALL = 0x7F
GAIN_BOOSTED = 0x96
OCP_60_MA, OCP_140_MA = 0x18, 0x38
RX_CONTINUOUS = 0xFFFFFF
RX_LONGEST = 0xFFFFFE  # 262 s in steps of 15.625 us

XOSC_START_ERR = 0x20
START_ERRORS = 0x3F  # this and what could not be calibrated

# What the retention list is given: RX_GAIN, TX_MODULATION, IQ_POLARITY
RETAINED = b"\x03\x08\xac\x08\x89\x07\x36"

BANDWIDTH = {
    7812: 0x00, 10417: 0x08, 15625: 0x01, 20833: 0x09, 31250: 0x02, 41667: 0x0A, 62500: 0x03,
    125000: 0x04, 250000: 0x05, 500000: 0x06,
}  # fmt: skip

TCXO_MV = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)

# MHz from, to: arguments of CalibrateImage
IMAGE_BANDS = (
    (430, 440, 0x6B, 0x6F),
    (470, 510, 0x75, 0x81),
    (779, 787, 0xC1, 0xC5),
    (863, 870, 0xD7, 0xDB),
    (902, 928, 0xE1, 0xE9),
)

# The most dBm of a row, paDutyCycle, hpMax, deviceSel, power byte for that most
PA_SX1262 = ((14, 2, 2, 0, 22), (17, 2, 3, 0, 22), (20, 3, 5, 0, 22), (22, 4, 7, 0, 22))
PA_SX1261 = ((10, 1, 0, 1, 13), (14, 4, 0, 1, 14), (15, 6, 0, 1, 14))
