"""SX1261/2 by the data sheet: registers and their values after reset, commands, interrupts, times, power amplifiers."""

VERSION_STRING = 0x0320
SYNC_WORD_MSB = 0x0740
SYNC_WORD_LSB = 0x0741
IQ_POLARITY = 0x0736
RX_CODING_RATE = 0x0749
RX_CRC = 0x076B
RANDOM = 0x0819
TX_MODULATION = 0x0889
RX_GAIN = 0x08AC
RX_PATCH = 0x08B5
TX_CLAMP = 0x08D8
OCP = 0x08E7
RTC_CONTROL = 0x0902
EVENT_MASK = 0x0944
RETENTION_LIST = 0x029F

RESET_VALUES = {
    IQ_POLARITY: 0x0D,
    SYNC_WORD_MSB: 0x14,
    SYNC_WORD_LSB: 0x24,
    TX_MODULATION: 0x01,
    RX_GAIN: 0x94,
    RX_PATCH: 0x00,
    TX_CLAMP: 0xC8,
    OCP: 0x18,
    RTC_CONTROL: 0x00,
    0x0911: 0x05,  # XTA trim
    0x0912: 0x05,  # XTB trim
    0x0920: 0x01,  # DIO3 output voltage
    EVENT_MASK: 0x00,
    RETENTION_LIST: 0x00,
}
# Registers that a warm sleep forgets unless the retention list names them.
FORGOTTEN = (IQ_POLARITY, TX_MODULATION, RX_GAIN, RX_PATCH)

# chip modes as the status byte shows them; sleep has none
SLEEP, STBY_RC, STBY_XOSC, FS, RX, TX, CAD = 0, 2, 3, 4, 5, 6, 7

TX_DONE = 0x0001
RX_DONE = 0x0002
PREAMBLE_DETECTED = 0x0004
SYNC_WORD_VALID = 0x0008
HEADER_VALID = 0x0010
HEADER_ERR = 0x0020
CRC_ERR = 0x0040
CAD_DONE = 0x0080
CAD_DETECTED = 0x0100
TIMEOUT = 0x0200

PLL_CALIB_ERR = 0x0004
ADC_CALIB_ERR = 0x0008
IMG_CALIB_ERR = 0x0010
XOSC_START_ERR = 0x0020
PLL_LOCK_ERR = 0x0040

RC_BLOCKS = 0x03  # RC64k and RC13M need no crystal
PLL_BLOCK = 0x04
ADC_BLOCKS = 0x38
IMAGE_BLOCK = 0x40
ALL_BLOCKS = 0x7F
DEFAULT_IMAGE_MHZ = (902, 928)

BANDWIDTH_HZ = {
    0x00: 7812,
    0x08: 10417,
    0x01: 15625,
    0x09: 20833,
    0x02: 31250,
    0x0A: 41667,
    0x03: 62500,
    0x04: 125000,
    0x05: 250000,
    0x06: 500000,
}
RAMP_US = (10, 20, 40, 80, 200, 800, 1700, 3400)
TCXO_MV = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)
# (paDutyCycle, hpMax, deviceSel): dBm out of the connector with the power byte in the third column
PA_OUTPUT = {
    (0x04, 0x07, 0): (22, 22),
    (0x03, 0x05, 0): (20, 22),
    (0x02, 0x03, 0): (17, 22),
    (0x02, 0x02, 0): (14, 22),
    (0x06, 0x00, 1): (15, 14),
    (0x04, 0x00, 1): (14, 14),
    (0x01, 0x00, 1): (10, 13),
}
POWER_BYTE = {0: (-9, 22), 1: (-17, 14)}

# How long BUSY stays high, us (switching times of table 8-2; calibration and the rest typical).
RESET_US = 3500
COLD_WAKE_US = 3500
WARM_WAKE_US = 340
COMMAND_US = 20
SLEEP_ENTRY_US = 500
CALIBRATE_US = 3500
CALIBRATE_IMAGE_US = 1500
XOSC_US = 31  # a crystal's start; a TCXO has the time set with SetDIO3AsTcxoCtrl
TO_FS_US = 40
TO_RX_US = 62
TO_TX_US = 105
STBY_US = 15

# What a wrong state costs, dB. 15.2: clamping under antenna mismatch; 15.1, 08B5 and the image: orders of magnitude.
GAIN_POWER_SAVE_DB = 3.0
PATCH_DB = 1.0
MODULATION_DB = 3.0
CLAMP_DB = 5.0
IMAGE_DB = 6.0
ADC_DB = 20.0
SWITCH_DB = 30.0
