"""SX1261, SX1262, SX1268: codes of commands, registers, interrupts; tables of the data sheet (rev. 2.1, chapters 11 to 15)."""

# Commands
SET_SLEEP = 0x84
SET_STANDBY = 0x80
SET_TX = 0x83
SET_RX = 0x82
SET_CAD = 0xC5
SET_CAD_PARAMS = 0x88
SET_PACKET_TYPE = 0x8A
SET_RF_FREQUENCY = 0x86
SET_PA_CONFIG = 0x95
SET_TX_PARAMS = 0x8E
SET_MODULATION_PARAMS = 0x8B
SET_PACKET_PARAMS = 0x8C
SET_BUFFER_BASE_ADDRESS = 0x8F
WRITE_REGISTER = 0x0D
READ_REGISTER = 0x1D
WRITE_BUFFER = 0x0E
READ_BUFFER = 0x1E
SET_DIO_IRQ_PARAMS = 0x08
GET_IRQ_STATUS = 0x12
CLEAR_IRQ_STATUS = 0x02
GET_RX_BUFFER_STATUS = 0x13
GET_PACKET_STATUS = 0x14
GET_DEVICE_ERRORS = 0x17
CLEAR_DEVICE_ERRORS = 0x07
SET_DIO3_AS_TCXO_CTRL = 0x97
SET_DIO2_AS_RF_SWITCH_CTRL = 0x9D
CALIBRATE = 0x89
CALIBRATE_IMAGE = 0x98
SET_REGULATOR_MODE = 0x96
SET_RX_TX_FALLBACK_MODE = 0x93
SET_LORA_SYMB_NUM_TIMEOUT = 0xA0

# Registers
VERSION_STRING = 0x0320  # 16 bytes that begin "SX126": the only identity there is
RETENTION_LIST = 0x029F  # a count, then up to four addresses that a warm sleep keeps
IQ_POLARITY = 0x0736  # erratum 15.4
SYNC_WORD = 0x0740
RX_CRC_PRESENT = 0x076B  # bit 4: the header announced a CRC
TX_MODULATION = 0x0889  # erratum 15.1
RX_GAIN = 0x08AC
RX_PATCH = 0x08B5  # undocumented: bit 0 makes the receiver more sensitive
TX_CLAMP = 0x08D8  # erratum 15.2
OCP = 0x08E7  # over-current protection, 2.5 mA a step
RTC_CONTROL = 0x0902  # erratum 15.3
EVENT_MASK = 0x0944  # erratum 15.3

# Interrupts
TX_DONE = 0x0001
RX_DONE = 0x0002
PREAMBLE_DETECTED = 0x0004
HEADER_VALID = 0x0010
HEADER_ERR = 0x0020
CRC_ERR = 0x0040
CAD_DONE = 0x0080
CAD_DETECTED = 0x0100
TIMEOUT = 0x0200
ALL_IRQ = 0x43FF

# Arguments
STDBY_RC, STDBY_XOSC = 0, 1
FALLBACK_STDBY_XOSC = 0x30
SLEEP_WARM = 0x04
LORA = 1
DC_DC = 1
RAMP_200_US = 4
CALIBRATE_ALL = 0x7F
GAIN_BOOSTED = 0x96
OCP_60_MA, OCP_140_MA = 0x18, 0x38
RX_CONTINUOUS = 0xFFFFFF
RX_LONGEST = 0xFFFFFE  # 262 s in steps of 15.625 us
CAD_4_SYMBOLS, CAD_ONLY = 2, 0

# Errors of the device: bits 0 to 5 are calibrations and the oscillator's start
XOSC_START_ERR = 0x0020
START_ERRORS = 0x003F

BANDWIDTH = {
    7812: 0x00,
    10417: 0x08,
    15625: 0x01,
    20833: 0x09,
    31250: 0x02,
    41667: 0x0A,
    62500: 0x03,
    125000: 0x04,
    250000: 0x05,
    500000: 0x06,
}

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
PA_SX1262 = ((14, 0x02, 0x02, 0, 22), (17, 0x02, 0x03, 0, 22), (20, 0x03, 0x05, 0, 22), (22, 0x04, 0x07, 0, 22))
PA_SX1261 = ((10, 0x01, 0x00, 1, 13), (14, 0x04, 0x00, 1, 14), (15, 0x06, 0x00, 1, 14))
LOWEST_DBM_SX1262 = -9
LOWEST_DBM_SX1261 = -17

# cadDetPeak by SF5..SF12 for four symbols; there are no published values below 125 kHz
CAD_PEAK_125K = (18, 19, 21, 21, 23, 24, 25, 28)
CAD_PEAK_500K = (18, 19, 20, 21, 22, 22, 25, 29)
CAD_MIN = 10
